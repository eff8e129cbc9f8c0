package state

import (
	"encoding/binary"
	"hash/maphash"
	"time"
	"unsafe"
)

// rowTable finds the newest rows of identities among encoded rows. It is a hash table with open addressing of the places where rows are encoded: a row is
// decoded when it is found, and takes about 20 bytes in addition to its text. A map of decoded rows takes four times as much.
type rowTable struct {
	texts []rowText
	slots []rowSlot // at most two thirds of them are used, so that a search ends; their number is a power of two
	count int       // of identities
	bytes int64     // of the texts

	preloaded uint32 // has no meaning: without a result, the compiler would remove the loads of preload
}

// rowSlot is the place of an identity's newest row.
type rowSlot struct {
	hash uint32
	text uint32 // number in texts, from 1; 0 if the slot is free
	at   uint32 // where the row starts in the text
}

var rowSeed = maphash.MakeSeed()

// hashIdentity returns the hash of an identity in row tables.
func hashIdentity(identity string) uint32 { return uint32(maphash.String(rowSeed, identity)) }

// len returns the number of identities.
func (t *rowTable) len() int {
	if t == nil {
		return 0
	}
	return t.count
}

// size returns the number of bytes that the table takes, about.
func (t *rowTable) size() int64 {
	if t == nil {
		return 0
	}
	return t.bytes + int64(len(t.texts))*int64(unsafe.Sizeof(rowText{})) + int64(len(t.slots))*int64(unsafe.Sizeof(rowSlot{}))
}

// find returns the newest row of an identity; one that was kept for an identity without a row lacks isKnown. An empty table may be nil.
func (t *rowTable) find(identity string, hash uint32) (c compactRow, exists bool) {
	if t.len() == 0 {
		return c, false
	}
	s := t.slot(identity, hash)
	if s.text == 0 {
		return c, false
	}
	return t.texts[s.text-1].state(s.at), true
}

// preloadedRows is the number of rows that are preloaded at once.
const preloadedRows = 64

// preload loads what the search for some hashes reads first into the processor's cache. No load depends on another row's, so the processor does many
// of them at the same time; a search waits for each.
func (t *rowTable) preload(places []rowSlot) {
	if t.len() == 0 {
		return
	}
	mask, sum := uint32(len(t.slots)-1), uint32(0)
	for i := range places {
		sum += t.slots[places[i].hash&mask].text
	}
	for i := range places {
		if s := &t.slots[places[i].hash&mask]; s.text != 0 && s.hash == places[i].hash {
			sum += uint32(t.texts[s.text-1].text[s.at])
		}
	}
	t.preloaded = sum
}

// slot returns the slot of an identity, which is free if it has none. The table must have a free slot.
func (t *rowTable) slot(identity string, hash uint32) *rowSlot {
	mask := uint32(len(t.slots) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		if s := &t.slots[i]; s.text == 0 || s.hash == hash && t.texts[s.text-1].identity(s.at) == identity {
			return s
		}
	}
}

// add adds the rows of a write, which replace those before. After an error, the table has an unknown part of them.
func (t *rowTable) add(changes string) error {
	text := newRowText(changes)
	t.texts, t.bytes = append(t.texts, text), t.bytes+int64(len(changes))
	var buffer [preloadedRows]rowSlot
	places := buffer[:0]
	err := text.each(func(identity string, at uint32) {
		places = append(places, rowSlot{hashIdentity(identity), uint32(len(t.texts)), at})
		if len(places) == preloadedRows {
			t.setAll(places)
			places = places[:0]
		}
	})
	t.setAll(places)
	return err
}

// setAll sets the places of the newest rows of several identities.
func (t *rowTable) setAll(places []rowSlot) {
	t.preload(places)
	for _, place := range places {
		t.set(t.texts[place.text-1].identity(place.at), place)
	}
}

// set sets the place of an identity's newest row.
func (t *rowTable) set(identity string, place rowSlot) {
	if 3*t.count >= 2*len(t.slots) {
		t.grow()
	}
	s := t.slot(identity, place.hash)
	if s.text == 0 {
		t.count++
	}
	*s = place
}

// grow doubles the number of slots.
func (t *rowTable) grow() {
	before := t.slots
	t.slots = make([]rowSlot, max(8, 2*len(before)))
	mask := uint32(len(t.slots) - 1)
	for _, s := range before {
		if s.text == 0 {
			continue
		}
		i := s.hash & mask
		for t.slots[i].text != 0 {
			i = (i + 1) & mask
		}
		t.slots[i] = s
	}
}

// addAll adds the rows of another table, which replace those before.
func (t *rowTable) addAll(newer *rowTable) {
	if newer.len() == 0 {
		return
	}
	before := uint32(len(t.texts))
	t.texts, t.bytes = append(t.texts, newer.texts...), t.bytes+newer.bytes
	for _, s := range newer.slots {
		if s.text != 0 {
			t.set(newer.texts[s.text-1].identity(s.at), rowSlot{s.hash, s.text + before, s.at})
		}
	}
}

// keep adds rows that were read; nil stands for an identity without a row.
func (t *rowTable) keep(identities []string, rows map[string]*memberRow) {
	base := time.Now().UnixMicro()
	data := binary.AppendVarint(make([]byte, 0, 48*len(identities)), base)
	for _, identity := range identities {
		c := compactRow{}
		if e := rows[identity]; e != nil {
			c = e.compact()
		}
		data, _ = c.encode(appendText(data, identity), base)
		data = append(data, 0) // rows of history
	}
	_ = t.add(string(data)) // which is not damaged
}
