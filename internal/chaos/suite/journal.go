package suite

import (
	"bufio"
	"encoding/json"
	"io"
	"slices"
	"sync"
	"time"
)

// Line is one event or access record of the proxy's log, as far as scenarios ask
// for it.
type Line struct {
	Level string    `json:"level"`
	Time  time.Time `json:"time"`
	Msg   string    `json:"msg"`

	Origin     string `json:"origin"`
	Group      string `json:"group"`
	Route      string `json:"route"`
	Address    string `json:"address"`
	PID        int    `json:"pid"`
	From       string `json:"from"`
	To         string `json:"to"`
	Reason     string `json:"reason"`
	Error      string `json:"error"`
	Generation uint64 `json:"generation"`
	TLS        bool   `json:"tls"` // of "listening"

	// Of access records.
	Method   string    `json:"method"`
	Target   string    `json:"target"`
	Status   int       `json:"status"`
	Decision string    `json:"decision"`
	Pointer  string    `json:"pointer"`
	WhyNot   string    `json:"why_not"`
	Attempts []Attempt `json:"attempts"`
	TotalMS  float64   `json:"total_ms"`
	ParkedMS float64   `json:"parked_ms"`
	QueuedMS float64   `json:"queue_ms"`

	// Of "route totals".
	Accepted   int `json:"accepted"`
	Served     int `json:"served"`
	FailedOver int `json:"failed_over"`
	Shed       int `json:"shed"`
	Failed     int `json:"failed"`
	Left       int `json:"left"`
	Parked     int `json:"parked"`
	InUse      int `json:"in_use"`
	Queued     int `json:"queued"`

	Raw string `json:"-"`
}

// Attempt is one try in an access record.
type Attempt struct {
	Origin    string `json:"origin"`
	Class     string `json:"class"` // "" for one that went well
	Status    int    `json:"status"`
	ConnRetry bool   `json:"conn_retry"`
}

// journal is the log of a process, which is read all the time. Safe for concurrent
// use. The zero value is empty.
type journal struct {
	mu     sync.Mutex
	events []Line
	access map[string]*Line // by target, which is unique to a request
	strays []string         // lines that are no JSON
	lost   int              // access records of a target that had one already
}

// read takes the log's lines until its end.
func (j *journal) read(r io.Reader) {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 64<<10), 1<<20)
	for lines.Scan() {
		l := Line{Raw: lines.Text()}
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil && l.Msg == "" {
			l.Msg = "stray"
		}
		j.add(l)
	}
}

func (j *journal) add(l Line) {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case l.Msg == "stray":
		j.strays = append(j.strays, l.Raw)
	case l.Msg != "request":
		j.events = append(j.events, l)
	default:
		if j.access == nil {
			j.access = make(map[string]*Line)
		}
		if j.access[l.Target] != nil {
			j.lost++
		}
		l.Raw = ""
		j.access[l.Target] = &l
	}
}

// find returns the events of that name for which keep is true; nil keeps all.
func (j *journal) find(msg string, keep func(*Line) bool) []Line {
	j.mu.Lock()
	defer j.mu.Unlock()
	var found []Line
	for i := range j.events {
		if l := &j.events[i]; l.Msg == msg && (keep == nil || keep(l)) {
			found = append(found, *l)
		}
	}
	return found
}

// flips are the moves of the group's pointer so far. To is "" where it went to none.
func (j *journal) flips() []Line {
	flips := j.find("pointer moved", nil)
	for i := range flips {
		if flips[i].To == "none" {
			flips[i].To = ""
		}
	}
	return flips
}

// records are all access records, in the order of their time.
func (j *journal) records() []*Line {
	j.mu.Lock()
	defer j.mu.Unlock()
	all := make([]*Line, 0, len(j.access))
	for _, l := range j.access {
		all = append(all, l)
	}
	slices.SortFunc(all, func(a, b *Line) int { return a.Time.Compare(b.Time) })
	return all
}

// record is the access record of a target, nil if there is none.
func (j *journal) record(target string) *Line {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.access[target]
}

// forget drops the access records so far.
func (j *journal) forget() {
	j.mu.Lock()
	defer j.mu.Unlock()
	clear(j.access)
}
