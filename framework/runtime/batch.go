package runtime

import (
	"slices"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/pool"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/fieldschema"
	"github.com/landfall-dev/landfall/framework/language/mapping"
	"github.com/landfall-dev/landfall/framework/runtime/config"
)

// reserved are the reserved fields that an action has, nil for others. A payload has no others.
type reserved struct {
	size, bytes, enable, keys *event.Key

	usual int // the default of batch_size, or the bound
	most  int // the bound of batch_size that the definition declares, or MaxBatch
}

func reservedOf(fields fieldschema.Fields) reserved {
	key := func(name string) *event.Key {
		if fields.Get(name) == nil {
			return nil
		}
		return event.NewKey(name)
	}
	r := reserved{
		size: key(destination.BatchSize), bytes: key(destination.BatchBytes), enable: key(destination.EnableBatching), keys: key(destination.BatchKeys),
		usual: MaxBatch, most: MaxBatch,
	}
	if f := fields.Get(destination.BatchSize); f != nil {
		r.most = sizeOr(f.Maximum, MaxBatch)
		r.usual = min(sizeOr(f.Default, MaxBatch), r.most)
	}
	return r
}

// sizeOr returns v as a batch size, capped at destination.MaxBatchSize. The fallback stands for anything that is no number or is
// below 1, which Segment writes for "as you like".
func sizeOr(v event.Value, fallback int) int {
	if v.Kind() != event.Number || v.Float() < 1 {
		return fallback
	}
	return int(min(v.Float(), destination.MaxBatchSize))
}

// withoutBatchBounds returns fields in which batch_size and batch_bytes have no bounds: a size beyond them is capped, and no reason
// to refuse an event.
func withoutBatchBounds(fields fieldschema.Fields) fieldschema.Fields {
	free := slices.Clone(fields)
	for i := range free {
		if free[i].Key == destination.BatchSize || free[i].Key == destination.BatchBytes {
			free[i].Minimum, free[i].Maximum = event.Value{}, event.Value{}
		}
	}
	return free
}

// batchSize warns of a size of batches that a mapping asks for and does not get.
func (c *compiler) batchSize(in config.Subscription, s *Subscription) {
	asked := in.Mapping.Get(destination.BatchSize)
	if s.reserved.size == nil || asked.Kind() != event.Number || mapping.IsDirective(in.Mapping) {
		return
	}
	most := s.reserved.most
	if n := s.handler.MaxPayloads(); n > 0 {
		most = min(most, n)
	}
	if asked.Float() > float64(most) {
		c.warnings.Add(in.Pointer+"/mapping/"+destination.BatchSize, "is %s, but %s takes %d at most: batches have %d", asked.Text(), s.action.Key, most, most)
	}
}

// batch sets the key and the bounds of the batches that an item may be part of, by its payload's reserved fields and by what its
// action takes.
func (s *Subscription) batch(item *Item) {
	payload, has := item.Payload, &s.reserved
	item.BatchSize = has.usual
	if has.size != nil {
		if n := has.size.Get(payload); n.Kind() == event.Number {
			item.BatchSize = min(sizeOr(n, has.usual), has.most)
		}
	}
	if most := s.handler.MaxPayloads(); most > 0 {
		item.BatchSize = min(item.BatchSize, most)
	}
	if has.bytes != nil {
		if n := has.bytes.Get(payload); n.Kind() == event.Number {
			item.BatchBytes = max(int(n.Float()), 1)
		}
	}
	if has.enable != nil && has.enable.Get(payload).Kind() == event.False || !s.handler.Batches() {
		item.BatchSize = 1
	}
	if has.keys != nil {
		item.BatchKey = s.batchKey(payload, has.keys.Get(payload))
	}
}

// batchNames are the fields that a list of batch_keys names.
type batchNames struct {
	list event.Value
	keys []*event.Key
}

// batchKey is the values that a payload has at its batch_keys.
func (s *Subscription) batchKey(payload, list event.Value) string {
	if list.Kind() != event.Array {
		return ""
	}
	names := s.names.Load()
	if names == nil || names.list != list { // most often it is the very same: a literal of the mapping
		names = &batchNames{list: list}
		for _, name := range list.Items() {
			names.keys = append(names.keys, event.NewKey(name.Str()))
		}
		s.names.Store(names)
	}
	var buffer [128]byte
	text := buffer[:0]
	for _, key := range names.keys {
		text = key.Get(payload).AppendJSON(text)
		text = append(text, ',')
	}
	if len(text) == 0 {
		return ""
	}
	if last := s.lastKey.Load(); last != nil && *last == string(text) { // most often the next event is of the same audience
		return *last
	}
	key := string(text)
	s.lastKey.Store(&key)
	return key
}

// Batch is items that go together: they share their plan, subscription and batch key.
type Batch struct {
	Plan  *Plan
	Items []Item
}

// Batches collects items into batches, in the order in which they come. It is not safe for concurrent use. The zero
// Batches is empty.
type Batches struct {
	places map[batchKey]int // in list
	list   []Batch          // by first appearance of their keys; without items once taken
}

type batchKey struct {
	plan         *Plan
	subscription *Subscription
	key          string
}

// pooledFrom is how many items a batch has when it moves to a pooled slice for a full one.
const pooledFrom = 64

// Add puts an item into its batch. If that is full, Add returns its items, and the next item begins a new one.
func (b *Batches) Add(p *Plan, item Item) (full []Item) {
	if b.places == nil {
		b.places = map[batchKey]int{}
	}
	key := batchKey{p, item.Subscription, item.BatchKey}
	at, ok := b.places[key]
	if !ok {
		at = len(b.list)
		b.places[key] = at
		b.list = append(b.list, Batch{Plan: p})
	}
	batch := &b.list[at]
	batch.Items = append(growBatch(batch.Items, item.BatchSize), item)
	if len(batch.Items) < item.BatchSize {
		return nil
	}
	full, batch.Items = batch.Items, nil
	return full
}

// growBatch returns items with room for one more. A batch that grows large moves to a pooled slice: to one of MaxBatch items
// first, and to one of destination.MaxBatchSize if it outgrows that.
func growBatch(items []Item, size int) []Item {
	switch n := len(items); {
	case n == pooledFrom && cap(items) < MaxBatch:
		return append(itemPool.Get(MaxBatch)[:0], items...)
	case n == MaxBatch && size > MaxBatch && cap(items) < destination.MaxBatchSize:
		grown := append(largePool.Get(destination.MaxBatchSize)[:0], items...)
		Release(items)
		return grown
	}
	return items
}

// Rest takes all batches that are not full, in order of first appearance.
func (b *Batches) Rest() []Batch {
	var rest []Batch
	for _, batch := range b.list {
		if len(batch.Items) > 0 {
			rest = append(rest, batch)
		}
	}
	*b = Batches{}
	return rest
}

// The pools of full batches: itemPool holds slices of MaxBatch items, largePool those of destination.MaxBatchSize.
var itemPool, largePool pool.Slice[Item]

// Release returns to their pool items that Batches has collected and that nothing refers to any more. If Release is not called,
// the items are garbage collected.
func Release(items []Item) {
	switch c := cap(items); {
	case c >= destination.MaxBatchSize:
		largePool.Put(items)
	case c >= MaxBatch:
		itemPool.Put(items)
	}
}
