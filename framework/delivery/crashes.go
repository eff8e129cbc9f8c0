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
	maxCrashes    = 2
	mappingFile   = "mapping"     // the notes of a running process
	crashesFile   = "deaths.json" // what earlier processes ended at
	mappingSlots  = 8192
	slotSize      = 32 // key, sequence, index and kind, unused
	maxCrashSites = 1000
)

// crashSite is an event at which a process has ended.
type crashSite struct {
	Key     uint64 `json:"key"` // of the instance and the partition
	Seq     uint64 `json:"seq"`
	Index   uint64 `json:"place"`  // the index in its page; with letterPlace, it is replayed from a letter
	Crashes int    `json:"deaths"` // how often
}

const letterFlag = 1 << 32

// mappingNotes knows which events are being mapped, and at which ones earlier processes have ended. It is safe for concurrent
// use, each slot for one partition at a time. A nil one notes nothing.
type mappingNotes struct {
	dir    string
	memory []byte // never unmapped: what maps an event may outlive the Runner

	mu         sync.Mutex
	free       []int
	crashes    map[crashSite]int // by suspects without their deaths
	hasCrashes atomic.Bool       // whether there are some
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
	for s, deaths := range n.crashes {
		if deaths >= maxCrashes {
			log.Error("an event has stopped the process each time it was mapped: it becomes a dead letter", "seq", s.Seq, "deaths", deaths)
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

// loadCrashes adds the notes of the last process to the deaths of those before, and writes them down.
func (n *mappingNotes) loadCrashes() error {
	var list []crashSite
	text, err := os.ReadFile(filepath.Join(n.dir, crashesFile))
	if err == nil {
		_ = json.Unmarshal(text, &list) // what cannot be read is no suspicion
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
	return n.writeCrashes()
}

// writeCrashes makes the deaths durable.
func (n *mappingNotes) writeCrashes() error {
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
	file := filepath.Join(n.dir, crashesFile)
	if err := os.WriteFile(file+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

// takeRepeatedCrash reports whether an event has stopped the process maxDeaths times, and forgets it then: it becomes a dead letter, and if
// somebody replays that, it is tried again.
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
	_ = n.writeCrashes() // if it cannot be written, the next start knows the event still
	return true
}

// mappingSlot is the note of one partition.
type mappingSlot struct {
	notes *mappingNotes
	key   uint64
	note  []byte // nil if there are more partitions than slots
	index int
}

// acquireSlot takes the slot of a partition of an instance, until release.
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

// releaseSlot gives the slot back.
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

// beginMapping notes that an event of a log is about to be mapped. It reports whether the event has stopped the process before, so that
// it must not be mapped; then nothing is noted.
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

// endMapping takes the note back.
func (s *mappingSlot) endMapping() {
	if s != nil && s.note != nil {
		binary.LittleEndian.PutUint64(s.note[8:], 0)
	}
}

// stoppedProcess is the verdict of an event that has stopped the process.
var stoppedProcess = runtime.Verdict{
	Outcome: runtime.Refused, Status: 500, Code: fault.CodeInternal, Reporter: fault.ReporterIntegrations,
	Reason: "stopped the process while it was mapped, more than once: it is not tried again by itself",
}

// refuseStopped gives every subscription that an event may be for the verdict that it has stopped the process.
func (r *pageReader) refuseStopped(i int, e event.Event) (tasks []*task) {
	for _, s := range r.partition.worker.instance.Plan.Choose(e, nil) {
		if r.onlySubscription != "" && r.onlySubscription != s.Name() {
			continue
		}
		v := stoppedProcess
		tasks = append(tasks, r.newTask(i, e, runtime.Item{Subscription: s, Event: e}, &v))
	}
	return tasks
}
