package delivery

// parkedKeys are the keys of a partition whose events are parked, by the hash of the key. It has no lock of its own: the
// worker's mutex guards those of a partition.
type parkedKeys struct {
	keys   map[string]*parkedKey
	parked int  // how often a key was parked
	loaded bool // the keys of the stored dead letters are among them
}

// parkedKey is how a key is parked: whether its later events are parked too, and how its dead letters come back.
type parkedKey struct {
	kind      string // kindHeld or kindEvicted
	spilled   bool   // its dead letters come back in portions
	ordering  string // the ordering key of a spilled key, "" for events without one
	requested bool   // the next portion was requested

	// generation changes whenever tasks of the key are parked. A resumed dead letter of an earlier generation is parked again, so that it
	// does not overtake them.
	generation int
}

// kind returns how a key is parked, or "".
func (k *parkedKeys) kind(key string) string {
	if e := k.keys[key]; e != nil {
		return e.kind
	}
	return ""
}

// isSpilled reports whether the dead letters of a key come back in portions.
func (k *parkedKeys) isSpilled(key string) bool {
	e := k.keys[key]
	return e != nil && e.spilled
}

// generation returns the generation of a key, or 0 if it is not parked.
func (k *parkedKeys) generation(key string) int {
	if e := k.keys[key]; e != nil {
		return e.generation
	}
	return 0
}

// blockingKey returns the key of a task that may not be delivered. ok is false if it may.
func (k *parkedKeys) blockingKey(t *task) (key string, ok bool) {
	if len(k.keys) == 0 {
		return "", false
	}
	key = shortHash(t.key)
	return key, !k.mayPass(key, t)
}

// mayPass reports whether a task of a key may be delivered: the key is not parked, or the task comes from a resumed dead letter of the
// key's present generation.
func (k *parkedKeys) mayPass(key string, t *task) bool {
	e := k.keys[key]
	return e == nil || t.resumed && t.letter.generation == e.generation
}

// park parks a key.
func (k *parkedKeys) park(key, kind string) {
	e := k.begin(key)
	e.kind, e.spilled = kind, false
}

// spill parks the tasks of a key whose dead letters come back in portions, and returns how the key is parked. A held key stays held.
func (k *parkedKeys) spill(key, orderingKey string) (kind string) {
	e := k.begin(key)
	if e.kind == "" {
		e.kind = kindEvicted
	}
	e.spilled, e.ordering = true, orderingKey
	return e.kind
}

// begin begins a generation of a key.
func (k *parkedKeys) begin(key string) *parkedKey {
	e := k.keys[key]
	if e == nil {
		if k.keys == nil {
			k.keys = map[string]*parkedKey{}
		}
		e = &parkedKey{}
		k.keys[key] = e
	}
	k.parked++
	e.generation = k.parked
	return e
}

// load adds the keys of stored dead letters, by kind.
func (k *parkedKeys) load(kinds map[string]string) {
	k.loaded = true
	for key, kind := range kinds {
		switch e := k.keys[key]; {
		case e == nil:
			k.begin(key).kind = kind
		case e.kind != kindHeld:
			e.kind = kind
		}
	}
}

// unpark removes keys.
func (k *parkedKeys) unpark(keys ...string) {
	for _, key := range keys {
		delete(k.keys, key)
	}
}

// requestPortion reports whether the next portion of a key is to be requested, and notes that it is.
func (k *parkedKeys) requestPortion(key string) bool {
	e := k.keys[key]
	if e == nil || !e.spilled || e.requested {
		return false
	}
	e.requested = true
	return true
}

// portionNotRequested notes that the request of a portion has failed, or was carried out.
func (k *parkedKeys) portionNotRequested(key string) {
	if e := k.keys[key]; e != nil {
		e.requested = false
	}
}

// notePortion notes that a portion of a key was read. If tasks of the key were parked in the meantime, its generation is another one:
// then the portion may be incomplete, the key stays parked, and the portion is parked again.
func (k *parkedKeys) notePortion(key string, generation int, part []*DeadLetter, more bool) {
	switch e := k.keys[key]; {
	case e == nil || e.generation != generation:
	case !more:
		k.unpark(key)
	case len(part) > 0:
		e.spilled, e.ordering = true, part[0].Key
	}
}

// spilledKeys returns the ordering keys whose dead letters come back in portions.
func (k *parkedKeys) spilledKeys() (list []string) {
	for _, e := range k.keys {
		if e.spilled {
			list = append(list, e.ordering)
		}
	}
	return list
}

// evicted returns at most n evicted keys whose dead letters do not come back in portions.
func (k *parkedKeys) evicted(n int) (list []string) {
	for key, e := range k.keys {
		if len(list) >= n {
			break
		}
		if e.kind == kindEvicted && !e.spilled {
			list = append(list, key)
		}
	}
	return list
}
