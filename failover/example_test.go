package failover_test

import (
	"fmt"

	"github.com/fairlead/fairlead/failover"
)

// A primary falls and recovers, and an operator brings the traffic home.
func ExampleGroup() {
	g := failover.NewGroup(failover.GroupConfig{
		Name: "shop",
		PointerConfig: failover.PointerConfig{
			HasSecondary: true,
			Failback:     failover.FailbackManual,
		},
		OnFlip: func(from, to failover.State) {
			fmt.Printf("%v -> %v (%v), generation %d\n", from.Target, to.Target, to.Reason, to.Generation)
		},
	})
	g.Verdict(failover.RolePrimary, false)
	g.Verdict(failover.RolePrimary, true)
	if err := g.Failback(); err != nil {
		fmt.Println(err)
	}
	// Output:
	// primary -> secondary (primary_down), generation 2
	// secondary -> primary (operator), generation 3
}

// A GET may be sent twice, and a 503 is a reason to.
func ExamplePolicy() {
	p, err := failover.NewPolicy(failover.PolicyConfig{
		Methods:      []string{"GET", "HEAD", "OPTIONS"},
		Statuses:     []int{500, 502, 503, 504},
		HasSecondary: true,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, method := range []string{"GET", "POST"} {
		ok, why := p.Covers([]byte(method), false, false)
		fmt.Println(method, ok, why)
	}
	o := p.Classify(503)
	fmt.Println(o, p.Failed(o))
	// Output:
	// GET true none
	// POST false method
	// status:503 true
}
