package upstream
import ("testing";"time";"syscall";"golang.org/x/sys/unix";"github.com/fairlead/fairlead/internal/netx")
func TestZZ(t *testing.T) {
	for _, network := range networks {
	c, peer := connected(t, network)
	peer.(interface{ CloseWrite() error }).CloseWrite()
	until(func() bool { return netx.PeerClosed(c.rc) })
	time.Sleep(10*time.Millisecond)
	done := exchange(c, "request")
	readFull(t, peer, len("request"))
	select { case <-done: t.Log(network, "woke by itself"); case <-time.After(500*time.Millisecond): t.Log(network,"hangs without nudge") }
	c.Nudge()
	t.Log(<-done)
	}
}
func BenchmarkZNow(b *testing.B) { for b.Loop() { time.Now() } }
func BenchmarkZSince(b *testing.B) { e:=time.Now(); for b.Loop() { time.Since(e) } }
func BenchmarkZPeek(b *testing.B) {
	s := serve(b, "tcp", hold)
	p := newPool(b, s.origin(b, nil), 8)
	c := dial(b,p); defer c.Close()
	var fd int; c.rc.Control(func(f uintptr){fd=int(f)})
	buf:=make([]byte,1)
	b.Run("recvfrom",func(b *testing.B){ b.ReportAllocs(); for b.Loop() { unix.Recvfrom(fd,buf,unix.MSG_PEEK|unix.MSG_DONTWAIT)}})
	b.Run("sysrecvfrom",func(b *testing.B){ b.ReportAllocs(); for b.Loop() { syscall.Recvfrom(fd,buf,unix.MSG_PEEK|unix.MSG_DONTWAIT)}})
	b.Run("read",func(b *testing.B){ b.ReportAllocs(); for b.Loop() { syscall.Read(fd,buf)}})
	b.Run("poll",func(b *testing.B){ b.ReportAllocs(); f:=[]unix.PollFd{{Fd:int32(fd),Events:unix.POLLIN}}; for b.Loop() { unix.Poll(f,0)}})
	b.Run("getpid",func(b *testing.B){ for b.Loop() { unix.Getpid()}})
}
