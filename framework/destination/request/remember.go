package request

import (
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/mapping"
)

// Bounds of the time for which an answer is remembered.
const (
	minRemembered = time.Second
	maxRemembered = 24 * time.Hour
)

// remembering says which answers of a step are used again for equal requests.
type remembering struct {
	time time.Duration
	when *mapping.Mapping // whether an answer is remembered; nil for any that is no failure
}

// compileRemembering compiles which answers of a step are remembered; nil if v is absent.
func (c *compiler) compileRemembering(v event.Value, place string) *remembering {
	if v.Kind() == event.Absent {
		return nil
	}
	if c.isCall {
		c.problems.Add(place, "is only allowed in requests for payloads")
	}
	d, err := time.ParseDuration(v.Get("for").Str())
	if err != nil || d < minRemembered || d > maxRemembered {
		c.problems.Add(place+"/for", "should be a time between %s and %s, such as 10m", minRemembered, maxRemembered)
	}
	of := c.subCompiler(Settings)
	of.names[statusName], of.names[bodyName] = nil, nil
	m := &remembering{d, of.compileMapping(v.Get("when"), place+"/when")}
	c.mergeFrom(of)
	return m
}

// Remembers returns for how long the step's answer to a request is used again; 0 if it is not. An answer for which the rule cannot be
// evaluated is not.
func (s *Step) Remembers(a Answer, settings event.Value) time.Duration {
	if s.remember == nil {
		return 0
	}
	if s.remember.when != nil {
		v, err := s.remember.when.Resolve(event.NewObject([]event.Member{
			{Key: Settings, Value: settings}, {Key: statusName, Value: event.NewInt(int64(a.Status))}, {Key: bodyName, Value: a.Body},
		}))
		if err != nil || v.Falsy() {
			return 0
		}
	}
	return s.remember.time
}

// MayRemember reports whether answers of the step may be used again.
func (s *Step) MayRemember() bool { return s.remember != nil }

// Key returns a text that is equal for requests that are equal.
func (b Built) Key() string {
	sum := sha256.New()
	fmt.Fprintf(sum, "%q %q\n", b.Method, b.URL)
	for _, name := range sortedKeys(b.Header) {
		fmt.Fprintf(sum, "%q %q\n", name, b.Header[name])
	}
	sum.Write(b.Body)
	return string(sum.Sum(nil))
}
