package handover

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"unicode/utf8"
)

// Limits of what is handed over.
const (
	// MaxSockets is how many sockets are passed at most.
	MaxSockets = 1024
	// MaxState is how long the state may be, in bytes.
	MaxState = 16 << 20
	maxHead  = 1 << 20
)

// magic begins what the parent sends, so that another program's pipe is told
// from a parent's.
const magic = "fairlead handover\n"

// manifest says what is handed over. It is sent as JSON, with its length before
// it and the state after it.
type manifest struct {
	Sockets []entry `json:"sockets"`
	State   int     `json:"state"` // bytes
}

// entry is one socket of a manifest, in the order of the descriptors.
type entry struct {
	Address string `json:"address"`           // as configured
	Managed bool   `json:"managed,omitempty"` // systemd opened it
}

// encode returns what the parent sends before the state.
func (m *manifest) encode() ([]byte, error) {
	if len(m.Sockets) > MaxSockets {
		return nil, fmt.Errorf("%d sockets are too many: %d can be handed over", len(m.Sockets), MaxSockets)
	}
	if m.State > MaxState {
		return nil, fmt.Errorf("the state of %d bytes is too long: %d can be handed over", m.State, MaxState)
	}
	for _, e := range m.Sockets {
		if !utf8.ValidString(e.Address) {
			return nil, fmt.Errorf("the address %q is not UTF-8", e.Address)
		}
	}
	text, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	if len(text) > maxHead {
		return nil, fmt.Errorf("the addresses of %d bytes are too long: %d can be handed over", len(text), maxHead)
	}
	head := binary.BigEndian.AppendUint32([]byte(magic), uint32(len(text)))
	return append(head, text...), nil
}

// readManifest reads what a parent sends, and not a byte more.
func readManifest(r io.Reader) (*manifest, []byte, error) {
	var fixed [len(magic) + 4]byte
	if _, err := io.ReadFull(r, fixed[:]); err != nil {
		return nil, nil, err
	}
	if string(fixed[:len(magic)]) != magic {
		return nil, nil, fmt.Errorf("it begins with %q, not with %q: nobody hands sockets over here", fixed[:len(magic)], magic)
	}
	n := binary.BigEndian.Uint32(fixed[len(magic):])
	if n > maxHead {
		return nil, nil, fmt.Errorf("the list of sockets has %d bytes, more than %d", n, maxHead)
	}
	text := make([]byte, n)
	if _, err := io.ReadFull(r, text); err != nil {
		return nil, nil, err
	}
	var m manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, nil, fmt.Errorf("the list of sockets: %w", err)
	}
	if len(m.Sockets) > MaxSockets || m.State < 0 || m.State > MaxState {
		return nil, nil, fmt.Errorf("%d sockets and %d bytes of state are over the limits", len(m.Sockets), m.State)
	}
	state := make([]byte, m.State)
	if _, err := io.ReadFull(r, state); err != nil {
		return nil, nil, err
	}
	return &m, state, nil
}
