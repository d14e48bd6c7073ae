package http2

import (
	"net"
	"sync"
	"time"
)

// A Config says how connections are served. The zero value of each field but
// Handler means its default.
type Config struct {
	// Begin is called right before Handler, by the same goroutine: the owner sets
	// Value there, and whatever else Left needs to find. If the client leaves
	// meanwhile, neither Handler nor Left is called for that request, so Begin
	// must not take what only they would give back. nil: nothing is prepared.
	Begin func(*Stream)
	// Handler serves one request. It is called by a goroutine of the connection's
	// and must return when it finds that the stream has ended or was
	// interrupted. A response that it leaves unfinished is reset, and what it
	// leaves unread of the request's body is dropped.
	Handler func(*Stream)
	// Left is told when the client of a running handler has reset its stream or
	// is gone, or was reset itself for what it did. It is called at most once a
	// stream, after Begin has returned, by the connection's reader, so it must
	// not block. The handler may not have run its first line yet, or may have
	// returned just before, but the Stream does not serve another request until
	// Left has returned. nil: nobody is told.
	Left func(*Stream)
	// Panicked is told what Begin or Handler panicked with; the stream is reset.
	// nil: the panic ends the process.
	Panicked func(v any)

	// MaxStreams is how many streams a client may have open at once (100).
	// Twice as many handlers may run, since one may outlive its stream. A stream
	// that was answered before its request had ended counts until the client has
	// ended it too or was told to stop, one or two seconds later.
	MaxStreams int
	// MaxHeaderBytes limits a field section, counted as RFC 9113, 6.5.2 does:
	// 32 bytes more than name and value for each field (32 KiB). A request over
	// it comes to the Handler with Refusal 431 or 414; one that is far over it ends
	// the connection.
	MaxHeaderBytes int
	// StreamWindow and ConnWindow are how much of request bodies is held for
	// handlers that have not read it yet (256 KiB and 1 MiB). They are 65,535 at least.
	StreamWindow, ConnWindow int

	// HeaderTimeout limits the wait for the preface, for the rest of a frame
	// and for the rest of a field block (10s).
	HeaderTimeout time.Duration
	// IdleTimeout is how long a connection stays without a stream (75s).
	IdleTimeout time.Duration
	// BodyIdleTimeout is how long the peer may take nothing of what is being
	// written to it, or stop in the middle of a DATA frame (60s). A stream whose
	// window stays closed is the handler's to interrupt.
	BodyIdleTimeout time.Duration
	// Patience is how many frames that cost more than they are worth are borne
	// in a burst (1000). A ping, an empty frame or a window update takes one, a
	// reset two, settings, too large a head and an error of a stream ten; each response and each
	// frame of its body gives two back, and every second gives 33. A client that
	// goes below zero is told ENHANCE_YOUR_CALM. So is one that cancels more
	// requests which are being served than 200 at once, or twice MaxStreams, and
	// 100 a second: no response buys those back.
	Patience int
}

const (
	defaultMaxStreams     = 100
	defaultMaxHeaderBytes = 32 << 10
	defaultStreamWindow   = 256 << 10
	defaultConnWindow     = 1 << 20
	defaultHeaderTimeout  = 10 * time.Second
	defaultIdleTimeout    = 75 * time.Second
	defaultBodyIdle       = 60 * time.Second
	defaultPatience       = 1000
)

// A Server makes connections that share a Config. It may be used by several
// goroutines.
type Server struct {
	cfg      Config
	greeting []byte // our SETTINGS and the connection's window
}

// NewServer returns a Server for cfg.
func NewServer(cfg Config) *Server {
	orDefault(&cfg.MaxStreams, defaultMaxStreams)
	orDefault(&cfg.MaxHeaderBytes, defaultMaxHeaderBytes)
	orDefault(&cfg.StreamWindow, defaultStreamWindow)
	orDefault(&cfg.ConnWindow, defaultConnWindow)
	orDefault(&cfg.HeaderTimeout, defaultHeaderTimeout)
	orDefault(&cfg.IdleTimeout, defaultIdleTimeout)
	orDefault(&cfg.BodyIdleTimeout, defaultBodyIdle)
	orDefault(&cfg.Patience, defaultPatience)
	// A client sends within the first window until it has read our settings,
	// so a smaller one could only be enforced later.
	cfg.StreamWindow = min(max(cfg.StreamWindow, firstWindow), maxWindow)
	cfg.ConnWindow = min(max(cfg.ConnWindow, firstWindow), maxWindow)
	return &Server{cfg: cfg, greeting: greeting(&cfg)}
}

func orDefault[T int | time.Duration](v *T, otherwise T) {
	if *v <= 0 {
		*v = otherwise
	}
}

// greeting is what the server sends first (RFC 9113, 3.4).
func greeting(cfg *Config) []byte {
	var s []byte
	s = appendSetting(s, settingMaxStreams, uint32(cfg.MaxStreams))
	s = appendSetting(s, settingInitialWindow, uint32(cfg.StreamWindow))
	s = appendSetting(s, settingMaxHeaderList, uint32(cfg.MaxHeaderBytes))
	s = appendSetting(s, settingConnectProtocol, 1)
	s = appendSetting(s, settingNoPriorities, 1)
	g := append(appendFrameHeader(nil, len(s), frameSettings, 0, 0), s...)
	if more := cfg.ConnWindow - firstWindow; more > 0 {
		g = appendWindowUpdate(g, 0, more)
	}
	return g
}

// NewConn prepares a connection on nc, which Serve will close. early is what
// was read from nc already, if anything. Serve must be called.
func (srv *Server) NewConn(nc net.Conn, early []byte) *Conn {
	c := &Conn{
		srv:        srv,
		nc:         nc,
		credit:     srv.cfg.Patience,
		cancels:    srv.cfg.cancels(),
		sendWindow: firstWindow,
		recvWindow: srv.cfg.ConnWindow,
		peerWindow: firstWindow,
		writerDone: make(chan struct{}),
	}
	c.writeCond.L, c.workCond.L = &c.mu, &c.mu
	c.in.init(early)
	c.dec.init(blockLimit(srv.cfg.MaxHeaderBytes), c.block.field)
	c.block.limit = srv.cfg.MaxHeaderBytes
	return c
}

// Pools of what connections use while something moves.
var (
	inputPool = sync.Pool{New: func() any { return new([bigInput]byte) }}
	outPool   = sync.Pool{New: func() any { return &outBuffer{b: make([]byte, 0, outStart)} }}
)
