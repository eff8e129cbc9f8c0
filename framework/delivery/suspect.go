package delivery

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
)

// An event may stop the process while it is mapped, for example if it takes more memory than there is. It is durable, so that
// every start would end the same way. Each partition therefore notes which event it is mapping in a file that is mapped into
// memory: a note costs two stores, and it survives the end of the process, though not that of the machine. The next start counts
// the events that were noted. An event at which the process has ended maxDeaths times becomes a dead letter without being mapped.
//
// Killing the process from outside sets no event aside: it would have to hit the same event in the microseconds in which it is
// mapped, maxDeaths times.
const (
	maxDeaths    = 2
	mappingFile  = "mapping"     // the notes of a running process
	deathsFile   = "deaths.json" // what earlier processes ended at
	mappingSlots = 8192
	slotSize     = 32 // key, sequence, index and kind, unused
	maxSuspects  = 1000
)

// suspect is an event at which a process has ended.
type suspect struct {
	Key    uint64 `json:"key"` // of the instance and the partition
	Seq    uint64 `json:"seq"`
	Place  uint64 `json:"place"`  // the index in its page; with letterPlace, it is replayed from a letter
	Deaths int    `json:"deaths"` // how often
}

const letterPlace = 1 << 32

// mappingNotes knows which events are being mapped, and at which ones earlier processes have ended. It is safe for concurrent
// use, each slot for one partition at a time. A nil one notes nothing.
type mappingNotes struct {
	dir    string
	memory []byte // never unmapped: what maps an event may outlive the Runner

	mu     sync.Mutex
	free   []int
	deaths map[suspect]int // by suspects without their deaths
	any    atomic.Bool     // whether there are some
}

// openMappingNotes opens the notes of a directory and counts the events that the last process ended at. If the directory cannot
// hold them, nothing is noted, which is logged.
func openMappingNotes(dir string, log *slog.Logger) *mappingNotes {
	if dir == "" {
		return nil
	}
	n, err := newMappingNotes(dir)
	if err != nil {
		log.Warn("an event that stops the process cannot be told from others, since the data directory takes no notes", "error", err)
		return nil
	}
	for s, deaths := range n.deaths {
		if deaths >= maxDeaths {
			log.Error("an event has stopped the process each time it was mapped: it becomes a dead letter", "seq", s.Seq, "deaths", deaths)
		}
	}
	return n
}

func newMappingNotes(dir string) (*mappingNotes, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	n := &mappingNotes{dir: dir, deaths: map[suspect]int{}}
	if err := n.count(); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(filepath.Join(dir, mappingFile), os.O_CREATE|os.O_RDWR|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if _, err := file.Write(make([]byte, mappingSlots*slotSize)); err != nil { // so that no store can meet a full disk
		return nil, err
	}
	n.memory, err = syscall.Mmap(int(file.Fd()), 0, mappingSlots*slotSize, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	for i := range mappingSlots {
		n.free = append(n.free, mappingSlots-1-i)
	}
	return n, nil
}

// count adds the notes of the last process to the deaths of those before, and writes them down.
func (n *mappingNotes) count() error {
	var list []suspect
	text, err := os.ReadFile(filepath.Join(n.dir, deathsFile))
	if err == nil {
		_ = json.Unmarshal(text, &list) // what cannot be read is no suspicion
	}
	for _, s := range list {
		deaths := s.Deaths
		s.Deaths = 0
		n.deaths[s] = deaths
		n.any.Store(true)
	}
	notes, err := os.ReadFile(filepath.Join(n.dir, mappingFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	ended := false
	for ; len(notes) >= slotSize; notes = notes[slotSize:] {
		s := suspect{Key: binary.LittleEndian.Uint64(notes), Seq: binary.LittleEndian.Uint64(notes[8:]), Place: binary.LittleEndian.Uint64(notes[16:])}
		if s.Seq > 0 {
			n.deaths[s]++
			n.any.Store(true)
			ended = true
		}
	}
	if !ended {
		return nil
	}
	return n.write()
}

// write makes the deaths durable.
func (n *mappingNotes) write() error {
	list := make([]suspect, 0, len(n.deaths))
	for s, deaths := range n.deaths {
		if s.Deaths = deaths; len(list) < maxSuspects {
			list = append(list, s)
		}
	}
	text, err := json.Marshal(list)
	if err != nil {
		return err
	}
	file := filepath.Join(n.dir, deathsFile)
	if err := os.WriteFile(file+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

// take reports whether an event has stopped the process maxDeaths times, and forgets it then: it becomes a dead letter, and if
// somebody replays that, it is tried again.
func (n *mappingNotes) take(s suspect) bool {
	if !n.any.Load() {
		return false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.deaths[s] < maxDeaths {
		return false
	}
	delete(n.deaths, s)
	_ = n.write() // if it cannot be written, the next start knows the event still
	return true
}

// mappingSlot is the note of one partition.
type mappingSlot struct {
	notes *mappingNotes
	key   uint64
	place []byte // nil if there are more partitions than slots
	n     int
}

// slot takes the slot of a partition of an instance, until release.
func (n *mappingNotes) slot(instance string, partition int) *mappingSlot {
	if n == nil {
		return nil
	}
	hash := fnv.New64a()
	_, _ = fmt.Fprintf(hash, "%s\x00%d", instance, partition)
	s := &mappingSlot{notes: n, key: hash.Sum64(), n: -1}
	n.mu.Lock()
	defer n.mu.Unlock()
	if last := len(n.free) - 1; last >= 0 {
		s.n, n.free = n.free[last], n.free[:last]
		s.place = n.memory[s.n*slotSize:][:slotSize]
	}
	return s
}

// release gives the slot back.
func (s *mappingSlot) release() {
	if s == nil || s.n < 0 {
		return
	}
	s.end()
	s.notes.mu.Lock()
	defer s.notes.mu.Unlock()
	s.notes.free = append(s.notes.free, s.n)
	s.n, s.place = -1, nil
}

// begin notes that an event of a log is about to be mapped. It reports whether the event has stopped the process before, so that
// it must not be mapped; then nothing is noted.
func (s *mappingSlot) begin(log int64, seq uint64, index int, letter bool) (stopped bool) {
	if s == nil {
		return false
	}
	e := suspect{Key: s.key + uint64(log), Seq: seq, Place: uint64(index)}
	if letter {
		e.Place |= letterPlace
	}
	if s.notes.take(e) {
		return true
	}
	if s.place != nil {
		binary.LittleEndian.PutUint64(s.place, e.Key)
		binary.LittleEndian.PutUint64(s.place[16:], e.Place)
		binary.LittleEndian.PutUint64(s.place[8:], e.Seq)
	}
	return false
}

// end takes the note back.
func (s *mappingSlot) end() {
	if s != nil && s.place != nil {
		binary.LittleEndian.PutUint64(s.place[8:], 0)
	}
}

// stoppedProcess is the verdict of an event that has stopped the process.
var stoppedProcess = runtime.Verdict{
	Outcome: runtime.Refused, Status: 500, Code: fault.CodeInternal, Reporter: fault.ReporterIntegrations,
	Reason: "stopped the process while it was mapped, more than once: it is not tried again by itself",
}

// refuseAll gives every subscription that an event may be for the verdict that it has stopped the process.
func (in *intake) refuseAll(i int, e event.Event) (tasks []*task) {
	for _, s := range in.part.worker.instance.Plan.Choose(e, nil) {
		if in.only != "" && in.only != s.Name() {
			continue
		}
		v := stoppedProcess
		tasks = append(tasks, in.newTask(i, e, runtime.Item{Subscription: s, Event: e}, &v))
	}
	return tasks
}
