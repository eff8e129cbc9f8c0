package cli

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/files/audiencesync"
	"github.com/landfall-dev/landfall/framework/files/stream"
)

// openTerminal returns a terminal, and the other end of it: what is written there is typed, and what is read there is shown.
func openTerminal(t *testing.T) (terminal, person *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip("this machine has no terminals:", err)
	}
	t.Cleanup(func() { _ = person.Close() })
	call := func(request uintptr, n *uint32) {
		_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, person.Fd(), request, uintptr(unsafe.Pointer(n)))
		require.Zero(t, errno)
	}
	var unlocked, number uint32
	call(syscall.TIOCSPTLCK, &unlocked)
	call(syscall.TIOCGPTN, &number)
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = terminal.Close() })
	return terminal, person
}

// TestConfirmations checks when a command that cannot be undone goes on: with --yes, or if a person agrees, and in no other case.
func TestConfirmations(t *testing.T) {
	null, err := os.Open(os.DevNull)
	require.NoError(t, err)
	defer null.Close()
	for answer, agrees := range map[string]bool{"y": true, "Y": true, " yes ": true, "YES": true, "n": false, "no": false, "": false, "yesterday": false, "ja": false} {
		terminal, person := openTerminal(t)
		_, err := io.WriteString(person, answer+"\n")
		require.NoError(t, err)
		var out, errs bytes.Buffer
		c := confirmation{to: streams{in: terminal, out: &out, err: &errs}}
		ok, err := c.confirm("everything is deleted")
		assert.Equal(t, agrees, ok, answer)
		assert.Equal(t, "everything is deleted. Continue? [y/N] ", errs.String())
		assert.Empty(t, out.String())
		if agrees {
			assert.NoError(t, err)
		} else {
			assert.EqualError(t, err, "canceled: nothing was changed", answer)
		}
	}
	for name, c := range map[string]struct {
		in          io.Reader
		yes, dryRun bool
		ok          bool
		out, err    string
	}{
		"--yes":                {in: strings.NewReader(""), yes: true, ok: true},
		"--dry-run":            {in: strings.NewReader("y\n"), dryRun: true, out: "dry run: everything is deleted\n"},
		"--dry-run with --yes": {in: strings.NewReader(""), dryRun: true, yes: true, out: "dry run: everything is deleted\n"},
		"a pipe that says yes": {in: strings.NewReader("y\n"), err: "everything is deleted: give --yes to do this, or --dry-run to see what would be done"},
		"nothing to read from": {in: null, err: "everything is deleted: give --yes to do this, or --dry-run to see what would be done"},
		"no standard input":    {in: nil, err: "everything is deleted: give --yes to do this, or --dry-run to see what would be done"},
	} {
		var out bytes.Buffer
		ok, err := (&confirmation{to: streams{in: c.in, out: &out, err: io.Discard}, yes: c.yes, dryRun: c.dryRun}).confirm("everything is deleted")
		assert.Equal(t, c.ok, ok, name)
		assert.Equal(t, c.out, out.String(), name)
		if c.err == "" {
			assert.NoError(t, err, name)
			continue
		}
		assert.EqualError(t, err, c.err, name)
		assert.ErrorAs(t, err, &usageError{}, "%s: the exit code is 2", name)
	}
}

// TestProgressOnTerminals checks that the progress is shown on a terminal only, not for each event, and is removed before the result.
func TestProgressOnTerminals(t *testing.T) {
	terminal, person := openTerminal(t)
	report := func(errs io.Writer) string {
		var out bytes.Buffer
		synctest.Test(t, func(t *testing.T) { // whose clock stands still, so that the second look at it is too soon
			r := newReporter(streams{out: &out, err: errs}, false, newProgress(strings.NewReader(""), time.Now()))
			for range 2*progressEvery + 1 {
				require.NoError(t, r.addEvent(stream.Event{}))
			}
			r.printSummary(3, nil)
		})
		return out.String()
	}
	var errs bytes.Buffer
	plain := report(&errs)
	assert.Empty(t, errs.String())
	assert.Equal(t, "events           129\nmatched            0\ndelivered          0\nskipped            0\nrefused            0\nrequests           3\n", plain)
	assert.Equal(t, plain, report(terminal))

	k := &audienceCommand{instanceFlags: instanceFlags{streams: streams{err: terminal}}}
	synctest.Test(t, func(*testing.T) {
		k.showProgress("1 change sent …")
		k.showProgress("2 changes sent …") // too soon
	})
	k.endProgress()
	quiet := &audienceCommand{instanceFlags: instanceFlags{streams: streams{err: &errs}}}
	quiet.showProgress("1 change sent …")
	quiet.endProgress()
	assert.Empty(t, errs.String())

	_, err := io.WriteString(terminal, "end\n")
	require.NoError(t, err)
	var shown strings.Builder
	for !strings.Contains(shown.String(), "end") {
		part := make([]byte, 4096)
		n, err := person.Read(part)
		require.NoError(t, err)
		shown.Write(part[:n])
	}
	assert.Regexp(t, "^\r64 events[^\r]*\x1b\\[K\r\x1b\\[K\r1 change sent …\x1b\\[K\r\x1b\\[Kend\r\n$", shown.String())
}

// TestFailuresThatAreShown checks how many of the changes that were not delivered are printed.
func TestFailuresThatAreShown(t *testing.T) {
	var out bytes.Buffer
	k := &audienceCommand{instanceFlags: instanceFlags{streams: streams{out: &out, err: &out}}, file: "users.csv"}
	for i := range 25 {
		k.reportFailure(audiencesync.Failure{Line: i + 2, Identity: "id", Outcome: "refused", Reason: "wrong"})
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	require.Len(t, lines, 21)
	assert.Contains(t, lines[0], "users.csv:2")
	assert.Contains(t, lines[19], "users.csv:21")
	assert.Equal(t, "…", lines[20])
}
