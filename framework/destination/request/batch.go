package request

import (
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/mapping"
)

// batch is how payloads go together.
type batch struct {
	most   int              // size where it is a plain number; 0 where it is not
	size   *mapping.Mapping // of a whole number; nil for no bound
	unique *mapping.Mapping // of a text: payloads with equal ones never share a request; nil for none
	bytes  int              // the most bytes of a body; 0 is no bound
	item   *mapping.Mapping // of one payload; nil for the payload itself
}

func (c *compiler) batch(v event.Value, place string) *batch {
	if v.Kind() == event.Absent {
		return nil
	}
	b := &batch{bytes: int(v.Get("bytes").Int()), most: int(v.Get("size").Int())}
	of := c.within(Settings, Payload)
	b.size, b.unique = of.mapping(v.Get("size"), place+"/size"), of.mapping(v.Get("unique"), place+"/unique")
	c.take(of)
	of = c.within(Settings, Auth, Payload)
	of.names[Index] = nil
	b.item = of.mapping(v.Get("item"), place+"/item")
	c.take(of)
	return b
}

// within is a compiler for a part that sees these names only.
func (c *compiler) within(names ...string) *compiler {
	inner := &compiler{names: Names{}}
	for _, name := range names {
		if keys, ok := c.names[name]; ok {
			inner.names[name] = keys
		}
	}
	return inner
}

// take takes over what a compiler of a part has found.
func (c *compiler) take(of *compiler) {
	c.problems = append(c.problems, of.problems...)
	for name := range of.said {
		c.say(name)
	}
}

// Batches tells whether the request takes more than one payload.
func (r *Request) Batches() bool { return r.batch != nil }

// Most is the most payloads of any request, as far as that does not depend on settings; 0 is no bound.
func (r *Request) Most() int {
	if r.batch == nil {
		return 1
	}
	return r.batch.most
}

// Size is the most payloads of one request, for a scope with settings and the first payload; 0 is no bound.
func (r *Request) Size(scope event.Value) (int, error) {
	switch {
	case r.batch == nil:
		return 1, nil
	case r.batch.size == nil:
		return 0, nil
	}
	v, err := r.batch.size.Resolve(scope)
	return int(max(v.Int(), 0)), err
}

// Key is what only one payload of a request may have, for a scope with settings and the payload; "" where any may go together.
func (r *Request) Key(scope event.Value) (string, error) {
	if r.batch == nil {
		return "", nil
	}
	return text(r.batch.unique, scope)
}

// Common is what all payloads of a request have in common, as text: what the request says of payload.
func (r *Request) Common(payload event.Value) string {
	var text []byte
	for _, p := range r.shared {
		text = append(p.Read(payload).AppendJSON(text), ',')
	}
	return string(text)
}

// MaxBytes is the declared bound of a body's bytes; 0 where there is none.
func (r *Request) MaxBytes() int {
	if r.batch == nil {
		return 0
	}
	return r.batch.bytes
}

// Item is what a payload of a batch becomes, for a scope with settings, auth, payload and index.
func (r *Request) Item(scope event.Value) (event.Value, error) {
	if r.batch.item == nil {
		return scope.Get(Payload), nil
	}
	return r.batch.item.Resolve(scope)
}
