package proxy

import (
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/fairlead/fairlead/failover"
)

// logAccess writes the exchange's record. The record's one field is made once
// a connection, so that logging allocates nothing of its own.
func (x *exchange) logAccess() {
	if x.record == nil {
		x.record = []zap.Field{zap.Inline(x)}
	}
	core := x.snap.access
	entry := zapcore.Entry{Level: zapcore.InfoLevel, Time: x.srv.clock.epoch.Add(time.Duration(x.end)), Message: "request"}
	_ = core.Write(entry, x.record)
}

// MarshalLogObject implements zapcore.ObjectMarshaler: the access record. It
// is called by the logger only.
func (x *exchange) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddByteString("request_id", x.id)
	enc.AddByteString("client", x.peer)
	enc.AddByteString("method", x.req.Method)
	enc.AddByteString("host", x.req.Host)
	enc.AddByteString("target", x.req.Target)
	enc.AddInt("status", x.status)
	enc.AddString("decision", x.result.String())
	if x.refusal != nil && x.refusal.text != "" {
		enc.AddString("error", x.refusal.text)
	}
	if x.route != nil {
		enc.AddString("route", x.route.name)
		enc.AddString("group", x.route.group)
	}
	if x.pointer != nil {
		enc.AddString("pointer", x.pointer.Target.String())
		enc.AddUint64("generation", x.pointer.Generation)
	}
	if x.picked {
		enc.AddBool("drill", true)
	}
	if x.tried > 0 {
		if err := enc.AddArray("attempts", (*attemptList)(x)); err != nil {
			return err
		}
	}
	if x.wanted() {
		enc.AddString("why_not", x.whyNot.String())
	}
	if x.queued > 0 {
		enc.AddFloat64("queue_ms", milliseconds(int64(x.queued)))
	}
	if x.parked > 0 {
		enc.AddFloat64("parked_ms", milliseconds(int64(x.parked)))
	}
	enc.AddInt64("bytes_in", x.body.sent.Load())
	enc.AddInt64("bytes_out", x.sent)
	enc.AddFloat64("total_ms", milliseconds(x.end-x.start))
	return nil
}

// wanted reports whether the request would have failed over, had it been allowed
// to: only then is whyNot of interest.
func (x *exchange) wanted() bool {
	return x.whyNot != failover.WhyNotNone && x.tried > 0 && x.tries[0].outcome.Class != failover.ClassNone && x.result != resultFailedOver
}

// attemptList is an exchange seen as the list of its attempts.
type attemptList exchange

// MarshalLogArray implements zapcore.ArrayMarshaler.
func (l *attemptList) MarshalLogArray(enc zapcore.ArrayEncoder) error {
	if l.picked {
		if err := enc.AppendObject((*exchange)(l).notTaken()); err != nil {
			return err
		}
	}
	for i := range l.tried {
		if err := enc.AppendObject(&l.tries[i]); err != nil {
			return err
		}
	}
	return nil
}

// MarshalLogObject implements zapcore.ObjectMarshaler.
func (a *attempt) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("origin", a.leg.origin.name)
	if a.remote != "" {
		enc.AddString("address", a.remote)
	}
	if a.outcome.Class != 0 {
		enc.AddString("class", a.outcome.String())
	}
	if a.status != 0 {
		enc.AddInt("status", a.status)
	}
	if a.connected != 0 {
		enc.AddFloat64("connect_ms", milliseconds(a.connected-a.begun))
	}
	if a.firstByte != 0 {
		enc.AddFloat64("first_byte_ms", milliseconds(a.firstByte-a.begun))
	}
	if a.retried {
		enc.AddBool("conn_retry", true)
	}
	return nil
}

// milliseconds turns nanoseconds into milliseconds, to the microsecond.
func milliseconds(ns int64) float64 { return float64(ns/1000) / 1000 }
