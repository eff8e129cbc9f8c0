package request

import (
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/mapping"
)

// batchSpec says how payloads are batched.
type batchSpec struct {
	fixedSize int              // size if it is a constant; otherwise 0
	size      *mapping.Mapping // returns an integer; nil means unlimited
	unique    *mapping.Mapping // returns a string; payloads with the same one never share a request; may be nil
	like      *mapping.Mapping // payloads share a request only if they agree in its result; nil for all that the request reads of payload
	maxBytes  int              // maximum size of a body; 0 means unlimited
	item      *mapping.Mapping // maps one payload; nil for the payload itself
	gather    bool             // payloads that may share a request need not follow each other
}

func (c *compiler) compileBatch(v event.Value, place string) *batchSpec {
	if v.Kind() == event.Absent {
		return nil
	}
	b := &batchSpec{maxBytes: int(v.Get("bytes").Int()), fixedSize: int(v.Get("size").Int())}
	b.gather, _ = v.Get("gather").Bool()
	of := c.subCompiler(Settings, Payload, SyncMode, Hooks, Audience)
	b.size, b.unique = of.compileMapping(v.Get("size"), place+"/size"), of.compileMapping(v.Get("unique"), place+"/unique")
	b.like = of.compileMapping(v.Get("like"), place+"/like")
	c.mergeFrom(of)
	of = c.subCompiler(Settings, Auth, Payload, SyncMode, Hooks, Audience, Batched)
	of.names[Index] = nil
	if c.isChange {
		of.names[Member] = nil
	}
	b.item = of.compileMapping(v.Get("item"), place+"/item")
	c.mergeFrom(of)
	return b
}

// subCompiler returns a compiler for a part that may use these names only.
func (c *compiler) subCompiler(names ...string) *compiler {
	return &compiler{names: c.names.Only(names...)}
}

// mergeFrom adds the problems and used names of a part's compiler.
func (c *compiler) mergeFrom(of *compiler) {
	c.problems = append(c.problems, of.problems...)
	for name := range of.used {
		c.recordName(name)
	}
}

// Batches reports whether the request takes more than one payload.
func (r *Request) Batches() bool { return r.batch != nil }

// MaxPayloads returns the maximum number of payloads in a request, if it does not depend on settings; 0 means unlimited.
func (r *Request) MaxPayloads() int {
	if r.batch == nil {
		return 1
	}
	return r.batch.fixedSize
}

// BatchSize returns the maximum number of payloads in one request, for a scope with settings and the first payload; 0 means
// unlimited.
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

// UniqueKey returns a key that only one payload of a request may have, for a scope with settings and the payload; "" means no
// restriction.
func (r *Request) UniqueKey(scope event.Value) (string, error) {
	if r.batch == nil {
		return "", nil
	}
	return resolveText(r.batch.unique, scope)
}

// SharedKey returns a text that is equal for payloads that may share a request, for a scope with settings and the payload: what the request
// declares as alike, otherwise the values that it reads of payload. It returns "" if no payloads share a request.
func (r *Request) SharedKey(scope event.Value) (string, error) {
	if r.batch != nil && r.batch.like != nil {
		v, err := r.batch.like.Resolve(scope)
		return v.JSON(), err
	}
	var text []byte
	for _, p := range r.shared {
		text = append(p.Read(scope.Get(Payload)).AppendJSON(text), ',')
	}
	return string(text), nil
}

// Gathers reports whether payloads that may share a request are sent together even if others are between them.
func (r *Request) Gathers() bool { return r.batch != nil && r.batch.gather }

// MaxBytes returns the declared maximum size of a body in bytes; 0 if none is declared.
func (r *Request) MaxBytes() int {
	if r.batch == nil {
		return 0
	}
	return r.batch.maxBytes
}

// BatchItem returns the item of a payload in a batch, for a scope with settings, auth, payload and index.
func (r *Request) BatchItem(scope event.Value) (event.Value, error) {
	if r.batch.item == nil {
		return scope.Get(Payload), nil
	}
	return r.batch.item.Resolve(scope)
}
