package runtime

import (
	"slices"
	"strings"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/fieldschema"
	"github.com/landfall-dev/landfall/framework/language/mapping"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/internal/pool"
)

// reserved holds the keys of an action's reserved fields, such as batch_size. Keys of fields that it does not have are nil.
type reserved struct {
	size, bytes, enable, keys *event.Key

	usual int // the default of batch_size, at most the maximum
	most  int // the maximum of batch_size that the definition declares, or MaxBatch
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

// sizeOr returns v as a batch size, capped at destination.MaxBatchSize. It returns the fallback if v is not a number or is less than 1,
// which Segment's configs use for the default.
func sizeOr(v event.Value, fallback int) int {
	if v.Kind() != event.Number || v.Float() < 1 {
		return fallback
	}
	return int(min(v.Float(), destination.MaxBatchSize))
}

// withoutBatchBounds returns fields in which batch_size and batch_bytes have no bounds: a size beyond them is capped instead of refusing
// the event.
func withoutBatchBounds(fields fieldschema.Fields) fieldschema.Fields {
	free := slices.Clone(fields)
	for i := range free {
		if free[i].Key == destination.BatchSize || free[i].Key == destination.BatchBytes {
			free[i].Minimum, free[i].Maximum = event.Value{}, event.Value{}
		}
	}
	return free
}

// batchSize warns if a mapping has a batch_size above the maximum.
func (c *compiler) batchSize(in config.Subscription, s *Subscription) {
	asked := in.Mapping.Get(destination.BatchSize)
	if s.reserved.size == nil || mapping.IsDirective(in.Mapping) || isDynamic(asked) {
		return
	}
	if asked = processConstant(s.action.Fields.Get(destination.BatchSize), asked); asked.Kind() != event.Number {
		return
	}
	most := s.reserved.most
	if n := s.handler.MaxPayloads(); n > 0 {
		most = min(most, n)
	}
	if asked.Float() > float64(most) {
		c.warnings.Add(in.Pointer+"/mapping/"+destination.BatchSize, "is %s, but the maximum of %s is %d: batches have %d", asked.Text(), s.action.Key, most, most)
	}
}

// processConstant returns what a field makes of a constant mapping; absent if it is not valid.
func processConstant(f *fieldschema.Field, v event.Value) event.Value {
	schema, err := fieldschema.Compile(withoutBatchBounds(withoutRequired(fieldschema.Fields{*f})))
	if err != nil {
		return event.Value{}
	}
	made, err := schema.Process(wrapAt([]string{f.Key}, constantOf(v)))
	if err != nil {
		return event.Value{}
	}
	return made.Get(f.Key)
}

// checkBatchKeys warns of a mapping without the batch_keys that a definition without code has by default, unless the fields that they
// name are constant: such a request takes what these fields say from its first event.
func (c *compiler) checkBatchKeys(in config.Subscription, s *Subscription, whole event.Value) {
	f := s.action.Fields.Get(destination.BatchKeys)
	if f == nil || !s.action.IsDeclared() || mapping.IsDirective(whole) || whole.Get(destination.BatchKeys).Exists() {
		return
	}
	if off := whole.Get(destination.EnableBatching); off.Kind() == event.False {
		return
	}
	var varying []string
	for _, name := range f.Default.Items() {
		if v := whole.Get(name.Str()); mapping.IsDirective(v) || strings.Contains(v.Str(), "{{") {
			varying = append(varying, name.Str())
		}
	}
	if len(varying) > 0 {
		c.warnings.Add(in.Pointer+"/mapping", "has no batch_keys, so events that differ in %s share a request, which is sent with those of the first: map batch_keys to %s",
			strings.Join(varying, " and "), f.Default.JSON())
	}
}

// mayBatch reports whether the subscription can send more than one payload in a request, with its whole mapping.
func (s *Subscription) mayBatch(whole event.Value) bool {
	constant := func(name string) event.Value {
		f, v := s.action.Fields.Get(name), whole.Get(name)
		if f == nil || !v.Exists() || mapping.IsDirective(whole) || isDynamic(v) {
			return event.Value{}
		}
		return processConstant(f, v)
	}
	return s.handler.Batches() && s.handler.MaxPayloads() != 1 && constant(destination.EnableBatching).Kind() != event.False && constant(destination.BatchSize).Float() != 1
}

// checkIsolation warns of a setting that makes actions halve refused batches if none of their subscriptions sends batches.
func (c *compiler) checkIsolation(p *Plan) {
	for key := range c.instance.Settings.Members() {
		without := withDefaults(p.settings.Without(key), c.definition.Settings)
		turnsOn := func(a *destination.ActionDefinition) bool {
			return a.Isolate.IsOn(p.settings) && !a.Isolate.IsOn(without)
		}
		if !slices.ContainsFunc(c.definition.Actions, func(a destination.ActionDefinition) bool { return turnsOn(&a) }) {
			continue
		}
		used := slices.ContainsFunc(p.subscriptions, func(s *Subscription) bool { return s.batches && turnsOn(s.action) })
		if !used && len(p.subscriptions) > 0 {
			c.warnings.Add(c.instance.Pointer+"/settings"+fault.PointerKey(key), "has no effect: it is for batches, and no subscription sends any; map enable_batching to true, or a larger batch_size")
		}
	}
}

// setBatch sets an item's batch key and limits, from the reserved fields of its payload and the limits of its action.
func (s *Subscription) setBatch(item *Item) {
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

// batchNames holds the keys of the fields in a list of batch_keys.
type batchNames struct {
	list event.Value
	keys []*event.Key
}

// batchKey returns the values of a payload's batch_keys as text.
func (s *Subscription) batchKey(payload, list event.Value) string {
	if list.Kind() != event.Array {
		return ""
	}
	names := s.names.Load()
	if names == nil || names.list != list { // usually the same value: a literal of the mapping
		names = &batchNames{list: list}
		for _, name := range list.Items() {
			names.keys = append(names.keys, event.NewKey(name.Str()))
		}
		s.names.Store(names)
	}
	last := s.lastKey.Load()
	if last != nil && names.isKeyOf(*last, payload) { // usually the next event has the same audience
		return *last
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
	if last != nil && *last == string(text) {
		return *last
	}
	key := string(text)
	s.lastKey.Store(&key)
	return key
}

// isKeyOf reports whether text is the batch key of a payload, without making the payload's key. It returns false if a value is not a string or needs
// escapes.
func (n *batchNames) isKeyOf(text string, payload event.Value) bool {
	if strings.Contains(text, `\`) {
		return false
	}
	for _, key := range n.keys {
		v := key.Get(payload)
		value := v.Str()
		after, ok := strings.CutPrefix(text, `"`)
		if !ok || !v.IsString() || strings.Contains(value, `"`) {
			return false
		}
		if after, ok = strings.CutPrefix(after, value); !ok {
			return false
		}
		if text, ok = strings.CutPrefix(after, `",`); !ok {
			return false
		}
	}
	return text == ""
}

// Batch holds items that are delivered together. They share their plan, subscription and batch key.
type Batch struct {
	Plan  *Plan
	Items []Item
}

// Batches collects items into batches and keeps their order. It is not safe for concurrent use. The zero value is empty and ready
// to use.
type Batches struct {
	places map[batchKey]int // indexes in list
	list   []Batch          // ordered by first appearance of their keys; a batch that Add returned has no items

	last   batchKey // of the previous item: usually the next has the same
	lastAt int      // its index in list
}

type batchKey struct {
	plan         *Plan
	subscription *Subscription
	key          string
}

// pooledFrom is the number of items at which a batch moves to a pooled slice.
const pooledFrom = 64

// Add adds an item to its batch. If this fills the batch, Add returns its items, and the next item starts a new batch.
func (b *Batches) Add(p *Plan, item Item) (full []Item) {
	if b.places == nil {
		b.places = map[batchKey]int{}
	}
	if key := (batchKey{p, item.Subscription, item.BatchKey}); len(b.list) == 0 || key != b.last {
		at, ok := b.places[key]
		if !ok {
			at = len(b.list)
			b.places[key] = at
			b.list = append(b.list, Batch{Plan: p})
		}
		b.last, b.lastAt = key, at
	}
	batch := &b.list[b.lastAt]
	batch.Items = append(growBatch(batch.Items, item.BatchSize), item)
	if len(batch.Items) < item.BatchSize {
		return nil
	}
	full, batch.Items = batch.Items, nil
	return full
}

// growBatch returns items with capacity for at least one more, or as they are if append should grow them. A batch that grows large moves to a pooled slice: to one of MaxBatch items
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

// Flush returns the remaining batches in order of first appearance, and empties b.
func (b *Batches) Flush() []Batch {
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

// Release returns items from Batches to their pool. The caller must not use them afterwards. If Release is not called,
// the items are garbage collected.
func Release(items []Item) {
	switch c := cap(items); {
	case c >= destination.MaxBatchSize:
		largePool.Put(items)
	case c >= MaxBatch:
		itemPool.Put(items)
	}
}
