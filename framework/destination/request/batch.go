package request

import (
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/mapping"
)

// batchSpec is how payloads go together.
type batchSpec struct {
	fixedSize int              // size where it is a plain number; 0 where it is not
	size      *mapping.Mapping // of a whole number; nil for no bound
	unique    *mapping.Mapping // of a text: payloads with equal ones never share a request; nil for none
	maxBytes  int              // the most bytes of a body; 0 is no bound
	item      *mapping.Mapping // of one payload; nil for the payload itself
}

func (c *compiler) compileBatch(v event.Value, place string) *batchSpec {
	if v.Kind() == event.Absent {
		return nil
	}
	b := &batchSpec{maxBytes: int(v.Get("bytes").Int()), fixedSize: int(v.Get("size").Int())}
	of := c.subCompiler(Settings, Payload)
	b.size, b.unique = of.compileMapping(v.Get("size"), place+"/size"), of.compileMapping(v.Get("unique"), place+"/unique")
	c.mergeFrom(of)
	of = c.subCompiler(Settings, Auth, Payload)
	of.names[Index] = nil
	b.item = of.compileMapping(v.Get("item"), place+"/item")
	c.mergeFrom(of)
	return b
}

// subCompiler is a compiler for a part that sees these names only.
func (c *compiler) subCompiler(names ...string) *compiler {
	inner := &compiler{names: Names{}}
	for _, name := range names {
		if keys, ok := c.names[name]; ok {
			inner.names[name] = keys
		}
	}
	return inner
}

// mergeFrom takes over what a compiler of a part has found.
func (c *compiler) mergeFrom(of *compiler) {
	c.problems = append(c.problems, of.problems...)
	for name := range of.used {
		c.recordName(name)
	}
}

// Batches tells whether the request takes more than one payload.
func (r *Request) Batches() bool { return r.batch != nil }

// MaxPayloads is the most payloads of any request, as far as that does not depend on settings; 0 is no bound.
func (r *Request) MaxPayloads() int {
	if r.batch == nil {
		return 1
	}
	return r.batch.fixedSize
}

// BatchSize is the most payloads of one request, for a scope with settings and the first payload; 0 is no bound.
func (r *Request) BatchSize(scope event.Value) (int, error) {
	switch {
	case r.batch == nil:
		return 1, nil
	case r.batch.size == nil:
		return 0, nil
	}
	v, err := r.batch.size.Resolve(scope)
	return int(max(v.Int(), 0)), err
}

// UniqueKey is what only one payload of a request may have, for a scope with settings and the payload; "" where any may go together.
func (r *Request) UniqueKey(scope event.Value) (string, error) {
	if r.batch == nil {
		return "", nil
	}
	return resolveText(r.batch.unique, scope)
}

// SharedKey is what all payloads of a request have in common, as text: what the request says of payload.
func (r *Request) SharedKey(payload event.Value) string {
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
	return r.batch.maxBytes
}

// BatchItem is what a payload of a batch becomes, for a scope with settings, auth, payload and index.
func (r *Request) BatchItem(scope event.Value) (event.Value, error) {
	if r.batch.item == nil {
		return scope.Get(Payload), nil
	}
	return r.batch.item.Resolve(scope)
}
