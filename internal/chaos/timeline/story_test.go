package timeline

import (
	"math"
	"math/rand/v2"
	"time"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

func after(seconds float64) time.Time { return noon.Add(duration(seconds)) }

func duration(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }

// story is an outage: eu stops accepting at 6 s, the pointer flips at 7.2 s, eu is back at 13 s.
func story(requests int) Picture {
	random := rand.New(rand.NewPCG(1, 2))
	p := Picture{
		Title: "connect_refused", Origins: []string{"eu", "us"}, Start: noon, End: after(20),
		Spans: []Span{
			{Track: "pointer shop", Value: "eu", From: noon, To: after(7.2)},
			{Track: "pointer shop", Value: "us", From: after(7.2), To: after(17)},
			{Track: "pointer shop", Value: "eu", From: after(17)},
			{Track: "verdict eu", Value: "up", From: noon, To: after(7.1)},
			{Track: "verdict eu", Value: "down", From: after(7.1), To: after(13.9), Bad: true},
			{Track: "verdict eu", Value: "up", From: after(13.9)},
			{Track: "verdict us", Value: "up", From: noon},
			{Track: "fault eu", Value: "connect_refused", From: after(6), To: after(13), Bad: true},
		},
		Marks: []Mark{{after(6), "eu refuses connections"}, {after(7.2), "flip to us"}, {after(13), "eu is back"}, {after(17), "failback"}},
	}
	for i := range requests {
		at := 20 * float64(i) / float64(requests)
		r := Request{At: after(at), Took: duration(0.003 * math.Exp(random.NormFloat64()*0.4)), Origin: "eu"}
		switch {
		case at >= 6 && at < 7.2 && i%5 > 0:
			r.Origin, r.Result = "us", FailedOver
			r.Took += duration(0.004)
		case at >= 6 && at < 7.2:
			r.Origin, r.Result = "", []Result{Refused, Refused, Hung, Aborted, Shed}[random.IntN(5)]
			if r.Result == Hung {
				r.Took = 3 * time.Second
			}
		case at >= 7.2 && at < 17:
			r.Origin = "us"
		}
		if i == requests*9/10 {
			r.Result = Wrong
		}
		if i%400 == 399 {
			r.Result = Left
		}
		p.Requests = append(p.Requests, r)
	}
	return p
}
