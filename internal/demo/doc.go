// Package demo is what the demonstration shows and what it shows it with: two
// origins that can be broken and mended, a gentle load, and the picture of a
// second.
//
//	orders := demo.NewOrders()
//	eu, err := demo.NewOrigin("eu", 9101, orders)
//	...
//	load := demo.NewLoad("http://127.0.0.1:8080", orders)
//	go load.Run(ctx)
//	eu.Break()
//	...
//	fmt.Println(load.Take().Answers["us"])
//
// The package knows nothing of the proxy between them and believes nothing that
// it says: answers are counted by the name that the origin put into them, and
// POSTs where they arrive.
//
// It refuses to be a test kit: its origins speak proper HTTP through net/http and
// break in one way only. Origins that misbehave are in the chaos package.
package demo
