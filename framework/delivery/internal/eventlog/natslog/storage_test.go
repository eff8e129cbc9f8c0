package natslog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
)

// syncBuffer is a bytes.Buffer for several goroutines.
type syncBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *syncBuffer) text() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.String()
}

// TestDiskThatAcceptsNoWrites checks what is reported while the disk accepts no writes, and that writes resume by themselves.
func TestDiskThatAcceptsNoWrites(t *testing.T) {
	var out syncBuffer
	log := openLog(t, Config{Dir: t.TempDir(), Logger: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelError}))})
	require.NoError(t, log.Prepare(t.Context(), stream()))
	_, err := log.WriteFailure("S")
	require.NoError(t, err)
	inTheWay := filepath.Join(log.config.Dir, "write-test")
	require.NoError(t, os.MkdirAll(filepath.Join(inTheWay, "x"), 0o700)) // the file of the disk test cannot be written
	began := time.Now()
	log.storage.noteResult("S", errors.New("refused")) // an answer
	log.storage.noteResult("S", fmt.Errorf("append: %w", context.DeadlineExceeded))
	var since time.Time
	require.Eventually(t, func() bool { since, err = log.WriteFailure("S"); return err != nil }, time.Minute, 5*time.Millisecond)
	assert.ErrorIs(t, err, eventlog.ErrUnwritable)
	assert.ErrorContains(t, err, "writing to the data directory: is a directory")
	assert.False(t, since.Before(began) || since.After(time.Now()))
	_, err = log.WriteFailure("OTHER")
	assert.NoError(t, err)
	require.NoError(t, os.RemoveAll(inTheWay))
	require.Eventually(t, func() bool { _, err = log.WriteFailure("S"); return err == nil }, time.Minute, 5*time.Millisecond)
	assert.Equal(t, 1, strings.Count(out.text(), "the disk accepts no writes, so nothing is accepted or delivered: free space on it"), "it is logged once a minute")
	assert.NoFileExists(t, inTheWay)
	assert.Empty(t, textsOf(t, log)[1:], "at most the test write is stored")
}

// TestStreamsThatDoNotAnswerAreReopened checks that the server is restarted if a stream answers no write although the disk accepts some.
func TestStreamsThatDoNotAnswerAreReopened(t *testing.T) {
	var out syncBuffer
	log := openLog(t, Config{Dir: t.TempDir(), Logger: slog.New(slog.NewTextHandler(&out, nil))})
	require.NoError(t, log.Prepare(t.Context(), stream()))
	first := log.embedded.serverID()
	require.NotEmpty(t, first)
	log.storage.noteResult("GONE", nats.ErrTimeout) // a stream without subjects answers no test write
	require.Eventually(t, func() bool { id := log.embedded.serverID(); return id != "" && id != first }, time.Minute, 10*time.Millisecond)
	_, err := log.WriteFailure("GONE")
	assert.ErrorIs(t, err, eventlog.ErrUnwritable)
	assert.ErrorContains(t, err, "the stream GONE does not answer")
	require.Eventually(t, func() bool { return strings.Contains(out.text(), "the reopened log accepts no writes: trying again") }, time.Minute, 10*time.Millisecond)
	log.storage.close() // which would soon restart the server again
	log.storage.ctx, log.storage.cancel = context.WithCancel(t.Context())
	require.Eventually(t, func() bool {
		_, err := log.Append(t.Context(), "S", []eventlog.Write{{Subject: "s.x"}})
		return err == nil
	}, time.Minute, 10*time.Millisecond, "the others accept writes again")

	log.storage.reopenServer([]string{"S"})
	assert.Contains(t, out.text(), "the log accepts writes again")
	_, err = log.Append(t.Context(), "S", []eventlog.Write{{Subject: "s.x"}})
	require.NoError(t, err)
}

// TestUnansweredWrites checks which errors make a stream suspect: those that say nothing about the message.
func TestUnansweredWrites(t *testing.T) {
	for _, err := range []error{
		context.DeadlineExceeded, nats.ErrTimeout, nats.ErrNoResponders, jetstream.ErrNoStreamResponse, jetstream.ErrJetStreamNotEnabled,
		jetstream.ErrJetStreamNotEnabledForAccount, jetstream.ErrStreamNotFound,
	} {
		assert.True(t, isUnanswered(fmt.Errorf("append: %w", err)), err)
	}
	for _, err := range []error{nil, context.Canceled, nats.ErrConnectionClosed, errors.New("other"), &jetstream.APIError{ErrorCode: codeStoreFailed}} {
		assert.False(t, isUnanswered(err), err)
	}
}

// TestNamesOfErrors checks what the errors of NATS mean.
func TestNamesOfErrors(t *testing.T) {
	api := func(code jetstream.ErrorCode) error { return &jetstream.APIError{ErrorCode: code} }
	for _, c := range []struct{ err, want error }{
		{nats.ErrNoResponders, eventlog.ErrUnavailable}, {jetstream.ErrNoStreamResponse, eventlog.ErrUnavailable},
		{jetstream.ErrMsgNotFound, eventlog.ErrNotFound}, {jetstream.ErrStreamNotFound, eventlog.ErrNoStream}, {nats.ErrMaxPayload, eventlog.ErrTooLarge},
		{nats.ErrConnectionClosed, eventlog.ErrClosed}, {jetstream.ErrMsgIteratorClosed, eventlog.ErrClosed},
		{api(jetstream.JSErrCodeStreamWrongLastSequence), eventlog.ErrConflict}, {api(jetstream.JSErrCodeStreamWrongLastSequenceConstant), eventlog.ErrConflict},
		{api(codeInsufficientResources), eventlog.ErrFull}, {api(codeStorageExceeded), eventlog.ErrFull}, {api(codeStoreFailed), eventlog.ErrFull},
		{api(codeStreamBytesExceeded), eventlog.ErrFull},
	} {
		named := namedError(fmt.Errorf("append: %w", c.err))
		assert.ErrorIs(t, named, c.want, c.err)
		assert.ErrorIs(t, named, c.err)
	}
	assert.NoError(t, namedError(nil))
	for _, other := range []error{errors.New("other"), api(1), context.Canceled} {
		assert.Equal(t, other, namedError(other))
	}
}

// TestReasonsOfConnectErrors checks what is said about each failure to connect, and that the cause stays known.
func TestReasonsOfConnectErrors(t *testing.T) {
	for want, err := range map[string]error{
		"no server answers":                   nats.ErrNoServers,
		"the server refuses this user":        nats.ErrAuthorization,
		"check the user and the password":     nats.ErrAuthExpired,
		"in nats.url, or nats.credentials":    nats.ErrAuthRevoked,
		"the server refuses this user: check": nats.ErrAccountAuthExpired,
		"write tls:// instead of nats://":     nats.ErrSecureConnRequired,
		"write nats:// instead of tls://":     nats.ErrSecureConnWanted,
		"is not a NATS server":                nats.ErrNoInfoReceived,
		"app.creds: there is no such file":    &fs.PathError{Path: "app.creds", Err: fs.ErrNotExist},
		": something else":                    errors.New("nats: something else"),
	} {
		got := connectError("u:secret@one:4222, tls://u:secret@two", "app.creds", err)
		assert.ErrorContains(t, got, want)
		assert.ErrorContains(t, got, "connecting to NATS at nats://one:4222, tls://two with the credentials of app.creds: ")
		assert.NotContains(t, got.Error(), "secret")
		assert.ErrorIs(t, got, err)
	}
	assert.NotContains(t, connectError("one", "", nats.ErrNoServers).Error(), "credentials of")
}

// TestConfigsOfStreams checks what a stream asks of NATS, in this process and on a cluster.
func TestConfigsOfStreams(t *testing.T) {
	embedded, cluster := &Log{embedded: &embeddedServer{}, config: Config{Dir: "dir"}}, &Log{config: Config{Dir: "dir", Replicas: 5}}
	c := eventlog.StreamConfig{Name: "S", Subjects: []string{"s.>"}}
	plain := embedded.natsConfig(c)
	assert.Equal(t, []string{"s.>", "probe.S"}, plain.Subjects)
	assert.Equal(t, []string{"s.>"}, c.Subjects)
	assert.Equal(t, []any{int64(-1), 1, jetstream.DiscardNew, int64(0)}, []any{plain.MaxBytes, plain.Replicas, plain.Discard, plain.MaxMsgsPerSubject})
	c.MaxBytes, c.NewestOnly = 1000, true
	limited := cluster.natsConfig(c)
	assert.Equal(t, []string{"s.>"}, limited.Subjects, "the streams of a cluster get no test writes")
	assert.Equal(t, []any{int64(1000), 5, jetstream.DiscardOld, int64(1)}, []any{limited.MaxBytes, limited.Replicas, limited.Discard, limited.MaxMsgsPerSubject})

	assert.Equal(t, []any{"dir", false, "", true}, []any{embedded.Dir(), embedded.Shared(), cluster.Dir(), cluster.Shared()})
	assert.Equal(t, "probe.S", embedded.probeMessage("S").Subject)
	assert.Empty(t, embedded.probeMessage("S").Header, "it is stored")
	assert.Equal(t, "probe.S", cluster.probeMessage("S").Header.Get(jetstream.ExpectedStreamHeader), "it is refused")
	assert.ErrorIs(t, cluster.Erase(t.Context(), nil), errors.ErrUnsupported)
}

// TestStartsThatFail checks that a server in this process does not start on files that were not checked, or that it cannot use.
func TestStartsThatFail(t *testing.T) {
	damaged := errors.New("the disk has a fault")
	_, err := Open(Config{Dir: t.TempDir(), CheckFiles: func(context.Context) error { return damaged }})
	require.ErrorIs(t, err, damaged)
	assert.ErrorContains(t, err, "checking the log's files")
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err = Open(Config{Dir: file})
	assert.ErrorContains(t, err, "the server in this process does not start: is the disk of the data directory readable")

	checked := 0
	log := openLog(t, Config{Dir: t.TempDir(), CheckFiles: func(context.Context) error { checked++; return nil }})
	assert.Equal(t, 1, checked)
	require.NoError(t, log.embedded.restart())
	assert.Equal(t, 2, checked, "before each start")
	log.embedded.stop()
	_, err = log.embedded.InProcessConn()
	require.ErrorIs(t, err, errServerDown)
	assert.Empty(t, log.embedded.serverID())
}

// TestLabelsThatFail checks that a stream is not created if its labels cannot be made.
func TestLabelsThatFail(t *testing.T) {
	log := openLog(t, Config{Dir: t.TempDir()})
	failed := errors.New("failed")
	err := log.Prepare(t.Context(), []eventlog.StreamConfig{{Name: "S", Subjects: []string{"s.>"}, Labels: func(*eventlog.Info) (map[string]string, error) { return nil, failed }}})
	require.ErrorIs(t, err, failed)
	assert.ErrorContains(t, err, "the stream S: ")
	_, err = log.Info(t.Context(), "S")
	assert.ErrorIs(t, err, eventlog.ErrNoStream)
}

// TestOnlyTheDiskOfThisProcessIsTested checks that nothing is written on this machine for servers elsewhere.
func TestOnlyTheDiskOfThisProcessIsTested(t *testing.T) {
	t.Chdir(t.TempDir())
	require.NoError(t, os.Mkdir("write-test", 0o700))
	cluster := storageMonitor{log: &Log{config: Config{URL: "nats://one"}}}
	assert.NoError(t, cluster.probeDisk())
	here := storageMonitor{log: &Log{embedded: &embeddedServer{}, config: Config{Dir: "."}}}
	assert.Error(t, here.probeDisk())
	assert.NoError(t, here.probeDisk(), "the test has removed the folder, which was empty")
	for _, device := range []string{"/dev/full", "/dev/null"} { // which takes no data, or takes it but cannot make it durable
		require.NoError(t, os.Symlink(device, "write-test"))
		assert.ErrorContains(t, here.probeDisk(), "writing to the data directory: ")
	}
}
