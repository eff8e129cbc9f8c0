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
	"github.com/landfall-dev/landfall/internal/textfile"
)

// An event may crash the process while it is mapped, for example by using up the memory. As the event is durable, every start
// would crash again. Each partition therefore notes which event it is mapping in a file that is mapped into memory. A note costs
// two stores and survives the end of the process, though not that of the machine. The next start counts the noted events. An
// event at which the process has crashed maxCrashes times becomes a dead letter without being mapped.
//
// Killing the process makes no event a dead letter: it would have to hit the same event, in the microseconds in which it is
// mapped, maxCrashes times.
const (
	maxCrashes    = 2
	mappingFile   = "mapping"     // the notes of the running process
	crashesFile   = "deaths.json" // the crashes of earlier processes
	mappingSlots  = 8192
	slotSize      = 32 // key, sequence, index and kind, unused
	maxCrashSites = 1000
)

// crashSite is an event at which a process has crashed.
type crashSite struct {
	Key     uint64 `json:"key"` // hash of the instance and the partition, plus the creation time of the log
	Seq     uint64 `json:"seq"`
	Index   uint64 `json:"place"` // index in the page, plus letterFlag if the event comes from a dead letter
	Crashes int    `json:"deaths"`
}

const letterFlag = 1 << 32

// mappingNotes notes which events are being mapped, and knows at which events earlier processes have crashed. It is safe for
// concurrent use; each slot belongs to one partition at a time. A nil mappingNotes does nothing.
type mappingNotes struct {
	dir        string
	memory     []byte // never unmapped: a mapping may outlive the Runner
	hasCrashes atomic.Bool

	mu      sync.Mutex        // guards the fields below
	free    []int             // indexes of slots
	crashes map[crashSite]int // by crash site with Crashes 0
}

// openMappingNotes opens the notes of a directory and counts the crashes of the last process. If the directory is not writable,
// it logs that and returns nil.
func openMappingNotes(dir string, log *slog.Logger) *mappingNotes {
	if dir == "" {
		return nil
	}
	n, err := newMappingNotes(dir)
	if err != nil {
		log.Warn("events that crash the process cannot be detected, because the data directory is not writable", "error", err)
		return nil
	}
	for s, deaths := range n.crashes {
		if deaths >= maxCrashes {
			log.Error("an event has crashed the process each time it was mapped: it becomes a dead letter", "seq", s.Seq, "deaths", deaths)
		}
	}
	return n
}

func newMappingNotes(dir string) (*mappingNotes, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	n := &mappingNotes{dir: dir, crashes: map[crashSite]int{}}
	if err := n.loadCrashes(); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(filepath.Join(dir, mappingFile), os.O_CREATE|os.O_RDWR|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if _, err := file.Write(make([]byte, mappingSlots*slotSize)); err != nil { // so that no store fails on a full disk
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

// loadCrashes loads the crashes of earlier processes, adds the notes of the last one, and stores the sum.
func (n *mappingNotes) loadCrashes() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	var list []crashSite
	text, err := os.ReadFile(filepath.Join(n.dir, crashesFile))
	if err == nil {
		_ = json.Unmarshal(text, &list) // an unreadable file counts as no crashes
	}
	for _, s := range list {
		deaths := s.Crashes
		s.Crashes = 0
		n.crashes[s] = deaths
		n.hasCrashes.Store(true)
	}
	notes, err := os.ReadFile(filepath.Join(n.dir, mappingFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	ended := false
	for ; len(notes) >= slotSize; notes = notes[slotSize:] {
		s := crashSite{Key: binary.LittleEndian.Uint64(notes), Seq: binary.LittleEndian.Uint64(notes[8:]), Index: binary.LittleEndian.Uint64(notes[16:])}
		if s.Seq > 0 {
			n.crashes[s]++
			n.hasCrashes.Store(true)
			ended = true
		}
	}
	if !ended {
		return nil
	}
	return n.writeCrashesLocked()
}

// writeCrashesLocked stores the crashes durably.
func (n *mappingNotes) writeCrashesLocked() error {
	list := make([]crashSite, 0, len(n.crashes))
	for s, deaths := range n.crashes {
		if s.Crashes = deaths; len(list) < maxCrashSites {
			list = append(list, s)
		}
	}
	text, err := json.Marshal(list)
	if err != nil {
		return err
	}
	return textfile.Replace(filepath.Join(n.dir, crashesFile), text, 0o600)
}

// takeRepeatedCrash reports whether an event has crashed the process maxCrashes times, and forgets it: it becomes a dead letter,
// and a replay maps it again.
func (n *mappingNotes) takeRepeatedCrash(s crashSite) bool {
	if !n.hasCrashes.Load() {
		return false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.crashes[s] < maxCrashes {
		return false
	}
	delete(n.crashes, s)
	_ = n.writeCrashesLocked() // if that fails, the next start still knows the event
	return true
}

// mappingSlot is the note of one partition.
type mappingSlot struct {
	notes *mappingNotes
	key   uint64
	note  []byte // nil if all slots are taken
	index int
}

// acquireSlot returns a slot for a partition of an instance. releaseSlot frees it.
func (n *mappingNotes) acquireSlot(instance string, partition int) *mappingSlot {
	if n == nil {
		return nil
	}
	hash := fnv.New64a()
	_, _ = fmt.Fprintf(hash, "%s\x00%d", instance, partition)
	s := &mappingSlot{notes: n, key: hash.Sum64(), index: -1}
	n.mu.Lock()
	defer n.mu.Unlock()
	if last := len(n.free) - 1; last >= 0 {
		s.index, n.free = n.free[last], n.free[:last]
		s.note = n.memory[s.index*slotSize:][:slotSize]
	}
	return s
}

// releaseSlot frees the slot.
func (s *mappingSlot) releaseSlot() {
	if s == nil || s.index < 0 {
		return
	}
	s.endMapping()
	s.notes.mu.Lock()
	defer s.notes.mu.Unlock()
	s.notes.free = append(s.notes.free, s.index)
	s.index, s.note = -1, nil
}

// beginMapping notes that an event is about to be mapped. It reports whether the event has crashed the process before, so that it
// must not be mapped; then nothing is noted.
func (s *mappingSlot) beginMapping(log int64, seq uint64, index int, letter bool) (stopped bool) {
	if s == nil {
		return false
	}
	e := crashSite{Key: s.key + uint64(log), Seq: seq, Index: uint64(index)}
	if letter {
		e.Index |= letterFlag
	}
	if s.notes.takeRepeatedCrash(e) {
		return true
	}
	if s.note != nil {
		binary.LittleEndian.PutUint64(s.note, e.Key)
		binary.LittleEndian.PutUint64(s.note[16:], e.Index)
		binary.LittleEndian.PutUint64(s.note[8:], e.Seq)
	}
	return false
}

// endMapping clears the note.
func (s *mappingSlot) endMapping() {
	if s != nil && s.note != nil {
		binary.LittleEndian.PutUint64(s.note[8:], 0)
	}
}

// stoppedProcess is the verdict of an event that has crashed the process.
var stoppedProcess = runtime.Verdict{
	Outcome: runtime.Refused, Status: 500, Code: fault.CodeInternal, Reporter: fault.ReporterIntegrations,
	Cause: fault.CauseProcessCrashed, Reason: fault.CauseProcessCrashed.Text(),
}

// refuseStopped returns tasks refused with stoppedProcess for all subscriptions that the event may match.
func (r *pageReader) refuseStopped(i int, e event.Event) (tasks []*task) {
	for _, s := range r.partition.worker.instance.Plan.Candidates(e, nil) {
		if r.onlySubscription != "" && r.onlySubscription != s.Name() {
			continue
		}
		v := stoppedProcess
		tasks = append(tasks, r.newTask(i, e, runtime.Item{Subscription: s, Event: e}, &v))
	}
	return tasks
}
