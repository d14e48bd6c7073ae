package bulkhead_test

import (
	"context"
	"fmt"

	"github.com/fairlead/fairlead/bulkhead"
)

func Example() {
	b := bulkhead.New(bulkhead.Config{MaxConcurrent: 1})

	var first, second bulkhead.Permit
	fmt.Println(b.TryAcquire(&first))
	fmt.Println(b.Acquire(context.Background(), &second))

	first.Release()
	fmt.Println(b.Acquire(context.Background(), &second), b.InUse())
	second.Release()
	// Output:
	// true
	// bulkhead: full
	// <nil> 1
}
