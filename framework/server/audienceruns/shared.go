package audienceruns

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/files/audiencesync"
	"github.com/landfall-dev/landfall/framework/files/sqlsource"
	"github.com/landfall-dev/landfall/internal/textfile"
)

// sharedResults keeps results that have rows of several audiences, so that the database runs a query once for all syncs of these audiences. It is safe for
// concurrent use.
type sharedResults struct {
	mu    sync.Mutex
	byKey map[string]*sharedResult
}

// keepResult is how long a result is kept after its query began.
const keepResult = 5 * time.Minute

// sharedResult is a copy of a result in a temporary file without a name. Its fields do not change after ready is closed, except for users.
type sharedResult struct {
	ready     chan struct{}
	err       error
	at, clock time.Time
	id        string
	columns   []audiencesync.Column
	used      []int // columns whose texts were copied
	typed     []int // columns whose JSON values were copied
	file      *os.File
	size      int64
	users     int // jobs that wait for it or read it
}

// shareKey identifies what jobs have in common that share a result: the query and how its rows are read. It is "" if a job shares nothing.
func (j *job) shareKey() string {
	if j.sync.Only == "" {
		return ""
	}
	key, err := json.Marshal([]any{
		j.sync.URL, j.sync.Query, j.sync.Timeout, j.sync.Only, j.sync.Key, j.sync.Columns, j.sync.Properties, j.sync.Incremental, j.instance.Plugin.Audiences.Identifiers,
	})
	if err != nil {
		return ""
	}
	return string(key)
}

// open returns a table of the rows of a query that did not begin before a time, and runs the query if there is no such result. The caller calls the returned
// function when it has read the table.
func (s *sharedResults) open(ctx context.Context, key string, notBefore time.Time, query sqlsource.Options, rows audiencesync.Options) (*sharedTable, func(), error) {
	for {
		r, isNew := s.use(key, notBefore)
		if isNew {
			r.err = r.copyFrom(ctx, query, rows)
			close(r.ready)
		}
		select {
		case <-r.ready:
		case <-ctx.Done():
			s.release(r)
			return nil, nil, ctx.Err()
		}
		switch {
		case r.err == nil && (isNew || !r.at.Before(notBefore)):
			return newSharedTable(r), func() { s.release(r) }, nil
		case isNew:
			s.release(r)
			return nil, nil, r.err
		}
		s.release(r) // the other job was ended, or its query began too early
	}
}

// use returns the result of a key, or a new one that the caller fills.
func (s *sharedResults) use(key string, notBefore time.Time) (r *sharedResult, isNew bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r = s.byKey[key]
	if r == nil || isReady(r) && (r.err != nil || r.at.Before(notBefore)) {
		if r != nil && r.users == 0 {
			r.close()
		}
		r, isNew = &sharedResult{ready: make(chan struct{})}, true
		s.byKey[key] = r
	}
	r.users++
	return r, isNew
}

func isReady(r *sharedResult) bool {
	select {
	case <-r.ready:
		return true
	default:
		return false
	}
}

// release ends the use of a result. One that was replaced or has failed is deleted after its last use.
func (s *sharedResults) release(r *sharedResult) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.users--
	if r.users > 0 {
		return
	}
	for key, known := range s.byKey {
		if known == r {
			if r.err != nil {
				delete(s.byKey, key)
			}
			return
		}
	}
	r.close()
}

// drop deletes the results that are not used and began before a time.
func (s *sharedResults) drop(before time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, r := range s.byKey {
		if r.users == 0 && r.at.Before(before) {
			r.close()
			delete(s.byKey, key)
		}
	}
}

func (r *sharedResult) close() {
	if r.file != nil {
		_ = r.file.Close()
	}
}

// copyFrom runs a query and copies its result, of which it reads the columns that the options need.
func (r *sharedResult) copyFrom(ctx context.Context, query sqlsource.Options, rows audiencesync.Options) (err error) {
	result, err := sqlsource.Open(ctx, query)
	if err != nil {
		return err
	}
	defer result.Close()
	r.at, r.clock, r.id, r.columns = result.At, result.Clock, result.ID(), result.Columns()
	if _, err := audiencesync.TableRows(&columnRecorder{r}, rows); err != nil {
		return err
	}
	result.Use(r.used)
	result.UseProperties(r.typed)
	if r.file, err = textfile.Unnamed("landfall-result"); err != nil {
		return fmt.Errorf("a temporary file for the result of a query: %w", err)
	}
	w := bufio.NewWriterSize(r.file, 1<<20)
	if err = r.copyRows(w, result); err == nil {
		err = w.Flush()
	}
	if err == nil {
		r.size, err = r.file.Seek(0, io.SeekCurrent)
	}
	if err != nil {
		r.close()
		r.file = nil
	}
	return err
}

// columnRecorder finds out which columns are needed.
type columnRecorder struct{ result *sharedResult }

func (c *columnRecorder) Columns() []audiencesync.Column      { return c.result.columns }
func (c *columnRecorder) Use(columns []int)                   { c.result.used = columns }
func (c *columnRecorder) UseProperties(columns []int)         { c.result.typed = columns }
func (c *columnRecorder) Next() ([]string, error)             { return nil, io.EOF }
func (c *columnRecorder) Properties() ([]event.Value, string) { return nil, "" }

// What a record in the file begins with.
const (
	recordRow     = 'r' // the texts of the used columns, the problem of the properties, and the properties
	recordProblem = 'p' // the reason why a row is unreadable
)

// copyRows writes all rows of a result.
func (r *sharedResult) copyRows(w *bufio.Writer, result *sqlsource.Result) error {
	for {
		record, err := result.Next()
		var bad *audiencesync.RowError
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, &bad):
			_ = w.WriteByte(recordProblem)
			writeText(w, bad.Reason)
			continue
		case err != nil:
			return err
		}
		_ = w.WriteByte(recordRow)
		for _, at := range r.used {
			writeText(w, record[at])
		}
		if len(r.typed) == 0 {
			continue
		}
		values, problem := result.Properties()
		writeText(w, problem)
		for i := range values {
			writeText(w, values[i].JSON())
		}
	}
}

// writeText writes a text with its length. The writer keeps its first error.
func writeText(w *bufio.Writer, text string) {
	var length [binary.MaxVarintLen64]byte
	_, _ = w.Write(length[:binary.PutUvarint(length[:], uint64(len(text)))])
	_, _ = w.WriteString(text)
}

// sharedTable reads a copy of a result. It is not safe for concurrent use.
type sharedTable struct {
	*sharedResult
	input   *bufio.Reader
	record  []string
	values  []event.Value
	problem string
	row     int
}

func newSharedTable(r *sharedResult) *sharedTable {
	return &sharedTable{sharedResult: r, input: bufio.NewReaderSize(io.NewSectionReader(r.file, 0, r.size), 1<<20), record: make([]string, len(r.columns))}
}

// Columns implements audiencesync.Table.
func (t *sharedTable) Columns() []audiencesync.Column { return t.columns }

// Use implements audiencesync.Table. The options of the rows are those with which the result was copied.
func (t *sharedTable) Use([]int) {}

// UseProperties implements audiencesync.PropertyTable.
func (t *sharedTable) UseProperties([]int) {}

// Properties implements audiencesync.PropertyTable.
func (t *sharedTable) Properties() ([]event.Value, string) { return t.values, t.problem }

// Next implements audiencesync.Table.
func (t *sharedTable) Next() ([]string, error) {
	kind, err := t.input.ReadByte()
	if err != nil {
		return nil, err // io.EOF at the end of the copy, which is complete
	}
	t.row++
	if kind == recordProblem {
		reason, err := t.readText()
		if err != nil {
			return nil, err
		}
		return nil, &audiencesync.RowError{Line: t.row, Reason: reason}
	}
	for _, at := range t.used {
		if t.record[at], err = t.readText(); err != nil {
			return nil, err
		}
	}
	if len(t.typed) == 0 {
		return t.record, nil
	}
	return t.record, t.readProperties()
}

// readProperties reads the JSON values of a row.
func (t *sharedTable) readProperties() (err error) {
	t.values = t.values[:0]
	if t.problem, err = t.readText(); err != nil || t.problem != "" {
		return err
	}
	for range t.typed {
		text, err := t.readText()
		if err != nil {
			return err
		}
		v, err := event.ParseString(text)
		if err != nil {
			return fmt.Errorf("the copy of the result is damaged: %w", err)
		}
		t.values = append(t.values, v)
	}
	return nil
}

// readText reads a text with its length.
func (t *sharedTable) readText() (string, error) {
	length, err := binary.ReadUvarint(t.input)
	if err == nil && length > uint64(t.size) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return "", damagedCopy(err)
	}
	text := make([]byte, length)
	if _, err := io.ReadFull(t.input, text); err != nil {
		return "", damagedCopy(err)
	}
	return string(text), nil
}

// damagedCopy returns the error of a copy that ends too early, which must not be taken for its end.
func damagedCopy(err error) error {
	return fmt.Errorf("the copy of the result cannot be read: %s", err.Error())
}
