package metrics

import (
	"io"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// pageBuffer is how much is gathered before it is written.
const pageBuffer = 64 << 10

// page writes metrics in the text format of Prometheus, version 0.0.4. After an
// error it writes no more.
type page struct {
	w      io.Writer
	buf    []byte
	err    error
	family *family // the one at work
	begun  bool    // its head is written
}

// write writes all families of a snapshot.
func (p *page) write(s *Snapshot) {
	for i := range families {
		p.family, p.begun = &families[i], false
		p.family.write(p, s)
		if p.err != nil {
			return
		}
	}
}

// add writes a sample with the values of the family's labels.
func (p *page) add(value float64, labels ...string) {
	p.begin("", labels)
	p.end(value)
}

// addTime writes a time as seconds since 1970, and nothing for the zero time.
func (p *page) addTime(t time.Time, labels ...string) {
	if !t.IsZero() {
		p.add(float64(t.UnixMilli())/1e3, labels...)
	}
}

// addHistogram writes h's buckets, sum and count, if it has counted anything.
func (p *page) addHistogram(bounds []time.Duration, h *Histogram, labels ...string) {
	if len(h.Counts) != len(bounds)+1 {
		return
	}
	var total uint64
	for _, n := range h.Counts {
		total += n
	}
	if total == 0 {
		return
	}
	var below uint64
	for i, n := range h.Counts {
		below += n
		p.begin("_bucket", labels)
		p.buf = append(p.buf, `,le="`...)
		if i < len(bounds) {
			p.buf = appendFloat(p.buf, bounds[i].Seconds())
		} else {
			p.buf = append(p.buf, "+Inf"...)
		}
		p.buf = append(p.buf, '"')
		p.end(float64(below))
	}
	p.begin("_sum", labels)
	p.end(h.Sum.Seconds())
	p.begin("_count", labels)
	p.end(float64(total))
}

// begin writes a sample up to its last label, and the family's head before
// the first one. Only a family with labels may be a histogram.
func (p *page) begin(suffix string, labels []string) {
	f := p.family
	if !p.begun {
		p.begun = true
		p.head(f)
	}
	p.buf = append(append(p.buf, f.name...), suffix...)
	for i, value := range labels {
		separator := byte(',')
		if i == 0 {
			separator = '{'
		}
		p.buf = append(append(append(p.buf, separator), f.labels[i]...), `="`...)
		p.buf = append(appendEscaped(p.buf, value), '"')
	}
}

// end writes a sample's value.
func (p *page) end(value float64) {
	if len(p.family.labels) > 0 {
		p.buf = append(p.buf, '}')
	}
	p.buf = append(appendFloat(append(p.buf, ' '), value), '\n')
	if len(p.buf) >= pageBuffer {
		p.flush()
	}
}

// head writes what a family means. Help texts are ours and need no escaping.
func (p *page) head(f *family) {
	p.buf = append(append(append(append(append(p.buf, "# HELP "...), f.name...), ' '), f.help...), '\n')
	p.buf = append(append(append(append(append(p.buf, "# TYPE "...), f.name...), ' '), f.kind...), '\n')
}

// flush writes what has gathered. What is left after an error is thrown away,
// so that the buffer does not grow.
func (p *page) flush() {
	if p.err == nil && len(p.buf) > 0 {
		_, p.err = p.w.Write(p.buf)
	}
	p.buf = p.buf[:0]
}

// appendFloat writes a number as Go and Prometheus read it.
func appendFloat(dst []byte, v float64) []byte {
	if v >= 0 && v < 1e6 && v == math.Trunc(v) {
		return strconv.AppendUint(dst, uint64(v), 10)
	}
	return strconv.AppendFloat(dst, v, 'g', -1, 64)
}

// appendEscaped writes a label's value. Bytes that are no UTF-8, as a file's
// name may have, would make Prometheus refuse the whole page.
func appendEscaped(dst []byte, s string) []byte {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	for i := range len(s) {
		switch b := s[i]; b {
		case '\\', '"':
			dst = append(dst, '\\', b)
		case '\n':
			dst = append(dst, '\\', 'n')
		default:
			dst = append(dst, b)
		}
	}
	return dst
}
