package suite

import (
	"fmt"

	"github.com/fairlead/fairlead/internal/chaos"
)

// take fills in a result from a response that came whole. The error says why it
// can't be the answer to this request.
func take(r *chaos.Result, p *chaos.Response) error {
	r.Status, r.Origin, r.Head = p.Status, p.Get(chaos.FieldOrigin), p.Head
	if r.Origin == "" {
		if r.Status < 400 {
			return fmt.Errorf("status %d of no origin", r.Status)
		}
		r.Kind, r.Text = chaos.Refused, p.Body
		return nil
	}
	if id := p.Get(chaos.FieldID); id != r.ID {
		return fmt.Errorf("it is that of request %s, not of %s", id, r.ID)
	}
	if p.Body != string(chaos.Body(r.Origin, r.ID, int64(len(p.Body)))) || p.Get(chaos.FieldSize) != fmt.Sprint(len(p.Body)) {
		return fmt.Errorf("its body of %d bytes is not what %s sends to %s", len(p.Body), r.Origin, r.ID)
	}
	r.Kind = chaos.Served
	if r.Status >= 400 {
		r.Kind = chaos.Refused
	}
	return nil
}
