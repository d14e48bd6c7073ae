package demo

import "sync"

// remembered bounds how many orders are remembered. A POST that arrived twice
// would do so within seconds; this many take a quarter of an hour.
const remembered = 4096

// Orders counts how often each order arrived, at whichever origin. Make it with
// NewOrders; its methods may be called from any goroutine.
type Orders struct {
	mu       sync.Mutex // guards what follows
	arrivals map[string]int
	ring     []string // the keys of arrivals, oldest first from next
	next     int
	twice    int
}

// NewOrders returns an empty book of orders.
func NewOrders() *Orders {
	return &Orders{arrivals: make(map[string]int), ring: make([]string, remembered)}
}

// Add records the arrival of an order.
func (o *Orders) Add(id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.arrivals[id]++
	switch o.arrivals[id] {
	case 1:
		delete(o.arrivals, o.ring[o.next])
		o.ring[o.next] = id
		o.next = (o.next + 1) % len(o.ring)
	case 2:
		o.twice++
	}
}

// Arrived reports whether an order, not too old, has arrived.
func (o *Orders) Arrived(id string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.arrivals[id] > 0
}

// Twice returns how many orders arrived more than once.
func (o *Orders) Twice() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.twice
}
