// Package timeline draws what happened in a scenario as one SVG picture: requests by origin and result over time, how
// long they took, and below them tracks for the pointer, the verdicts and the faults.
//
//	picture := timeline.Picture{
//		Title:   "connect_refused",
//		Origins: []string{"eu", "us"},
//		Start:   began,
//		End:     ended,
//		Requests: []timeline.Request{
//			{At: began, Took: 3 * time.Millisecond, Origin: "eu", Result: timeline.Served},
//		},
//		Spans: []timeline.Span{
//			{Track: "pointer shop", Value: "eu", From: began, To: flipped},
//			{Track: "pointer shop", Value: "us", From: flipped},
//			{Track: "fault eu", Value: "connect_refused", From: broke, To: mended, Bad: true},
//		},
//		Marks: []timeline.Mark{{At: flipped, Text: "flip to us"}},
//	}
//	err := os.WriteFile("connect_refused.svg", picture.SVG(), 0o644)
//
// A picture has no script and fetches nothing. It follows the reader's light or dark scheme, and nothing is told by a
// colour alone: each kind of failure has a pattern of its own, and one failure among thousands of requests can still
// be seen. It holds at any size: a hundred thousand requests, hundreds of flips or none of either.
//
// The package imports the standard library alone and knows nothing of origins or proxies.
package timeline

import "time"

// Picture is one scenario's timeline. The zero value draws an empty chart of one second.
type Picture struct {
	Title string
	// Start and End bound the time axis. A zero Start is the earliest moment that is known of, a zero End the latest. If
	// End is not after Start, the axis is a second long. What lies outside is not drawn, but its number is told.
	Start, End time.Time
	// Origins gives origins their order and so their colours; the primary stands first. Origins that answered and are not
	// named here follow by their names. Six have a colour of their own, the rest share one.
	Origins  []string
	Requests []Request // in any order
	Spans    []Span    // a track stands where its first span does
	Marks    []Mark
	// Prefix begins the ids inside the SVG. Pictures that share an HTML page need different ones. Letters, digits and
	// hyphens are kept of it; left out, it is "timeline".
	Prefix string
}

// Request is one request that a client made.
type Request struct {
	At     time.Time     // when it was due, which may be before it could be sent
	Took   time.Duration // from At until its end; below 0 counts as 0
	Origin string        // which origin answered, if one did
	Result Result
}

// Result is what became of a request. The zero value is Served.
type Result uint8

// Results in the order in which they are stacked, from the bottom.
const (
	Served     Result = iota // answered in full by Origin
	FailedOver               // the same, after the other origin failed in the same request; a client that can't tell says Served
	Left                     // the client went away first
	Shed                     // refused by a full bulkhead
	Refused                  // another error status
	Aborted                  // broken off, before or after the head
	Hung                     // no end within the client's patience
	Wrong                    // a response that the request should never have had
	results                  // how many there are
)

var resultNames = [results]string{"served", "failed over", "left", "shed", "refused", "aborted", "hung", "wrong"}

// String returns the result in a word; "wrong" for a value that is none of the constants.
func (r Result) String() string { return resultNames[r.known()] }

// Good tells whether the client got what it asked for.
func (r Result) Good() bool { return r == Served || r == FailedOver }

func (r Result) known() Result { return min(r, Wrong) }

// Span is a stretch of time in which a track had a value, for instance "down" on the track "verdict eu". Spans of one
// track that overlap stand under each other.
type Span struct {
	Track, Value string    // a value that is an origin's name has the origin's colour
	From, To     time.Time // left out, the picture's start and its end; a To before From makes an instant
	Bad          bool      // a fault or what comes of it
}

// Mark is a moment that matters: a vertical line with a few words.
type Mark struct {
	At   time.Time
	Text string
}
