package health_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"time"

	"github.com/fairlead/fairlead/health"
)

func ExampleChecker() {
	origin := httptest.NewServer(http.NotFoundHandler())
	defer origin.Close()
	address, _ := url.Parse(origin.URL)

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	checker, err := health.NewChecker(health.Config{
		Origin:       "eu",
		URL:          address,
		Interval:     10 * time.Second,
		Timeout:      10 * time.Second,
		FastInterval: time.Millisecond,
	}, func(e health.Event) {
		switch e.Kind {
		case health.ProbeDone:
			fmt.Println(e.Result.Err)
		case health.VerdictChanged:
			fmt.Printf("%s: %s, then %s\n", e.Origin, e.From, e.To)
			cancel()
		}
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(checker.Run(ctx), checker.Verdict())
	// Output:
	// probe origin eu: status: unexpected status 404, not one of 200-399
	// probe origin eu: status: unexpected status 404, not one of 200-399
	// probe origin eu: status: unexpected status 404, not one of 200-399
	// eu: unknown, then down
	// context canceled down
}

func ExampleParseStatusRanges() {
	ranges, err := health.ParseStatusRanges("200-299, 304")
	fmt.Println(ranges, err)
	_, err = health.ParseStatusRanges("2xx")
	fmt.Println(err)
	// Output:
	// [200-299 304] <nil>
	// status "2xx": write a status like 204 or a range like 200-399
}
