package admin

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// curl runs it, and gives what it prints.
func curl(t *testing.T, args ...string) string {
	t.Helper()
	path, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("curl is not installed")
	}
	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, append([]string{"--silent", "--show-error", "--noproxy", "*"}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("curl %v: %v\n%s", args, err, out)
	}
	return string(out)
}

const printStatus = "\n%{http_code} %{content_type}"

func TestCurlAsksAndChanges(t *testing.T) {
	r := start(t, guarded)
	header := filepath.Join(t.TempDir(), "header")
	if err := os.WriteFile(header, []byte("Authorization: Bearer "+token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	at := "http://" + r.address
	if out := curl(t, "-H", "@"+header, "-w", printStatus, at+"/v1/status"); !strings.Contains(out, `"groups":[{"name":"shop"`) || !strings.HasSuffix(out, "\n200 application/json") {
		t.Error(out)
	}
	if out := curl(t, "-w", printStatus, at+"/v1/status"); !strings.Contains(out, "token_file") || !strings.HasSuffix(out, "401 application/json") {
		t.Error(out)
	}
	if out := curl(t, "-H", "@"+header, "-w", printStatus, "--json", `{"target":"us","for":"30m"}`, at+"/v1/groups/shop/pin"); !strings.Contains(out, `"target":"us"`) || !strings.HasSuffix(out, "200 application/json") {
		t.Error(out)
	}
	if out := curl(t, "-H", "@"+header, "-w", printStatus, "-d", `{"target":"us"}`, at+"/v1/groups/shop/pin"); !strings.HasSuffix(out, "415 application/json") {
		t.Error(out)
	}
	jar := filepath.Join(t.TempDir(), "jar")
	curl(t, "-c", jar, "--json", `{"token":"`+token+`"}`, at+"/v1/session")
	if out := curl(t, "-b", jar, "-w", printStatus, at+"/v1/config"); !strings.HasSuffix(out, "200 application/json") {
		t.Error(out)
	}
}

func TestCurlFollowsEvents(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not installed")
	}
	r := start(t, nil)
	past := r.fill(3)
	dir := t.TempDir()
	head := filepath.Join(dir, "head")
	done := make(chan string, 1)
	go func() {
		out, _ := exec.CommandContext(t.Context(), "curl", "-sN", "--noproxy", "*", "-m", "30", "-D", head, "-H", "Accept: text/event-stream", "http://"+r.address+"/v1/events?since="+fmtSeq(past[0].Seq)).CombinedOutput()
		done <- string(out)
	}()
	eventually(t, "curl to follow", func() bool { return r.server.Stats().Streams == 1 })
	last := r.fill(1)[0]
	r.stop() // ends the stream
	out := <-done
	var got []string
	for _, m := range parse(out) {
		if m.event == "event" {
			got = append(got, m.id)
		}
	}
	want := []string{fmtSeq(past[1].Seq), fmtSeq(past[2].Seq), fmtSeq(last.Seq)}
	if strings.Join(got, " ") != strings.Join(want, " ") && strings.Join(got, " ") != strings.Join(want[:2], " ") {
		t.Errorf("curl got %v, want %v\n%s", got, want, out)
	}
}
