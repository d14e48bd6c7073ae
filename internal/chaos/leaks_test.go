package chaos

import (
	"net"
	"runtime"
	"strings"
	"testing"
	"time"
)

const waitLong = 10 * time.Second

func TestALeftGoroutineIsFoundByItsStack(t *testing.T) {
	baseline := Rest()
	if err := baseline.Wait(waitLong); err != nil {
		t.Fatalf("nothing has happened, yet: %v", err)
	}
	release := make(chan struct{})
	go lingerForTest(release)
	if err := baseline.Wait(10 * time.Millisecond); err == nil || !strings.Contains(err.Error(), "lingerForTest") {
		t.Errorf("got %v", err)
	}
	time.AfterFunc(5*time.Millisecond, func() { close(release) })
	if err := baseline.Wait(waitLong); err != nil {
		t.Errorf("after its end: %v", err)
	}
}

func lingerForTest(release chan struct{}) { <-release }

func TestALeftDescriptorIsFound(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("descriptors are seen on Linux only")
	}
	baseline := Rest()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := baseline.Wait(10 * time.Millisecond); err == nil || !strings.Contains(err.Error(), "1 descriptors of socket:") {
		t.Errorf("got %v", err)
	}
	_ = listener.Close()
	if err := baseline.Wait(waitLong); err != nil {
		t.Errorf("after its end: %v", err)
	}
}

func TestAwaitFailsTheTestWhenTimeIsUp(t *testing.T) {
	fake := &fakeTB{}
	asked := 0
	Await(fake, 0, "answer", func() bool { asked++; return true })
	Await(fake, waitLong, "third time", func() bool { asked++; return asked == 4 })
	if len(fake.errors) != 0 {
		t.Errorf("failed with %q", fake.errors)
	}
	Await(fake, time.Millisecond, "miracle", func() bool { return false })
	if len(fake.errors) != 1 || fake.errors[0] != "no miracle within 1ms" {
		t.Errorf("failed with %q", fake.errors)
	}
}

func TestCheckLeaksReportsAtTheTestsEnd(t *testing.T) {
	fake := &fakeTB{}
	CheckLeaks(fake)
	o := NewOrigin(fake, "eu") // closed before the check, being opened after it
	r := Dial(fake, "tcp", o.Addr())
	_ = r.Send("GET / HTTP/1.1\r\n")
	fake.end()
	if len(fake.errors) != 0 {
		t.Errorf("failed with %q", fake.errors)
	}
}
