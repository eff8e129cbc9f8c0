// Package eventlogtest has the tests that every implementation of eventlog.Log must pass.
package eventlogtest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
)

// The streams of the tests.
const (
	pages  = "PAGES"  // keeps all messages
	values = "VALUES" // keeps the newest message of each subject
)

func streams() []eventlog.StreamConfig {
	return []eventlog.StreamConfig{
		{Name: pages, Subjects: []string{"page.>", "ctl.>"}},
		{Name: values, Subjects: []string{"value.>"}, NewestOnly: true},
	}
}

// RunSuite tests the logs that open returns. Each log is empty and without streams. open closes it when its test ends.
func RunSuite(t *testing.T, open func(*testing.T) eventlog.Log) {
	for name, test := range map[string]func(*testing.T, eventlog.Log){
		"messages are stored as written":                testMessages,
		"a batch is written as a whole or not at all":   testBatches,
		"concurrent batches do not mix":                 testConcurrentBatches,
		"conditional writes":                            testConditionalWrites,
		"of concurrent conditional writes one succeeds": testCounter,
		"the newest message of a subject stays":         testNewestOnly,
		"first and last message":                        testFirstAndLast,
		"a reader returns messages in order":            testReader,
		"a reader waits":                                testReaderWaits,
		"a reader of the newest messages":               testReadNewest,
		"readers end":                                   testReadersEnd,
		"scans":                                         testScan,
		"scans end although messages are deleted":       testScanWhileDeleting,
		"counts and subjects":                           testCounts,
		"deleted messages":                              testDelete,
		"purges":                                        testPurge,
		"purged sequences are not used again":           testSequencesAfterPurge,
		"a full stream":                                 testFullStream,
		"large messages":                                testLargeMessages,
		"messages that may be compressed":               testCompressed,
		"labels":                                        testLabels,
		"a stream that does not exist":                  testUnknownStream,
		"times":                                         testTimes,
		"a context that has ended":                      testCanceled,
		"a closed log":                                  testClosedLog,
	} {
		t.Run(name, func(t *testing.T) {
			log := open(t)
			require.NoError(t, log.Prepare(t.Context(), streams()))
			test(t, log)
		})
	}
}

// appendAll appends messages of one subject each, with their indexes as data, and returns the last sequence.
func appendAll(t *testing.T, log eventlog.Log, stream string, subjects ...string) uint64 {
	t.Helper()
	var writes []eventlog.Write
	for i, subject := range subjects {
		writes = append(writes, eventlog.Write{Subject: subject, Data: fmt.Append(nil, i)})
	}
	last, err := log.Append(t.Context(), stream, writes)
	require.NoError(t, err)
	return last
}

// scanned returns the sequences that a query visits.
func scanned(t *testing.T, log eventlog.Log, stream string, q eventlog.Query) []uint64 {
	t.Helper()
	list := []uint64{}
	require.NoError(t, log.Scan(t.Context(), stream, q, func(m eventlog.Message) (bool, error) {
		list = append(list, m.Sequence)
		return true, nil
	}))
	return list
}

// nextOf returns the sequences and subjects of the next messages of a reader.
func nextOf(t *testing.T, r eventlog.Reader, n int) (list []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for range n {
		m, err := r.Next(ctx)
		require.NoError(t, err)
		list = append(list, fmt.Sprint(m.Sequence, " ", m.Subject))
	}
	return list
}

func openReader(t *testing.T, log eventlog.Log, stream string, q eventlog.Query) eventlog.Reader {
	t.Helper()
	r, err := log.Read(t.Context(), stream, q)
	require.NoError(t, err)
	t.Cleanup(r.Close)
	return r
}
