package runtime

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/mapping"
)

// maxEvaluations limits the sample events on which one directive is evaluated.
const maxEvaluations = 400

// evaluationChecker finds directives whose evaluation fails.
type evaluationChecker struct {
	types           []string // of the events that the query admits; nil for any
	wrong, doubtful fault.Problems
}

// checkEvaluation evaluates the directives of a mapping. wrong are constants that fail, so that every event is refused. doubtful are
// directives that fail on each sample event, since an event that is unlike all samples may be accepted, and constants of one branch.
func checkEvaluation(types []string, whole event.Value) (wrong, doubtful fault.Problems) {
	c := evaluationChecker{types: types}
	c.check(whole, "", false)
	return c.wrong, c.doubtful
}

// check visits a part of a mapping. inBranch says that only events that take one branch of the mapping evaluate it.
func (c *evaluationChecker) check(v event.Value, place string, inBranch bool) {
	if mapping.IsDirective(v) && c.checkDirective(v, place, inBranch) {
		return
	}
	for i, item := range v.Items() {
		c.check(item, fmt.Sprintf("%s/%d", place, i), inBranch)
	}
	for key, m := range v.Members() {
		c.check(m, place+fault.PointerKey(key), inBranch || key == "@if")
	}
}

// checkDirective evaluates a directive. It returns false if the parts of the directive should be checked instead.
func (c *evaluationChecker) checkDirective(v event.Value, place string, inBranch bool) bool {
	if !isDynamic(v) {
		_, err := evaluate(v)
		switch {
		case err != nil && inBranch:
			c.doubtful.Add(place, "fails for every event that takes this branch: %v", err)
		case err != nil:
			c.wrong.Add(place, "fails for every event: %v", err)
		}
		return true
	}
	var paths []event.Path
	for key, argument := range v.Members() {
		list, ok := mapping.References(key, argument)
		if key != "_metadata" && !ok {
			return false
		}
		if key == "@expr" && len(list) > 0 && strings.ContainsAny(argument.Str(), "[#{") {
			return true // it may read items of lists, whose members are not among its references
		}
		for _, r := range list {
			paths = append(paths, r.Path)
		}
	}
	if err := c.failsOnSamples(v, paths); err != nil {
		c.doubtful.Add(place, "fails on each sample event that was tried, so events like them are refused: %v", err)
	}
	return true
}

// failsOnSamples returns the error of a directive on a sample event if it fails on all that are tried: with values of all kinds at the
// paths that it reads.
func (c *evaluationChecker) failsOnSamples(v event.Value, paths []event.Path) (failure error) {
	compiled, err := mapping.Compile(v)
	if err != nil {
		return nil
	}
	kinds := sampleValues()
	total := 1
	for range paths {
		total = min(total*len(kinds), maxEvaluations+1)
	}
	random := rand.New(rand.NewPCG(1, 2)) // the same samples each time
	for _, kind := range c.sampleTypes() {
		for i := range min(total, maxEvaluations) {
			sample := sampleEvent(kind)
			for _, path := range paths {
				choice := i % len(kinds)
				switch {
				case total <= maxEvaluations:
					i /= len(kinds)
				case i >= len(kinds): // before, all values are of the same kind
					choice = random.IntN(len(kinds))
				}
				sample = withValueAt(sample, path.Keys(), kinds[choice])
			}
			if _, err := compiled.Resolve(sample); err == nil {
				return nil
			} else if failure == nil {
				failure = err
			}
		}
	}
	return failure
}

func (c *evaluationChecker) sampleTypes() []string {
	if c.types != nil {
		return c.types
	}
	return []string{"track", "identify", "page", "screen", "group", "alias"}
}

// sampleValues returns values of all kinds.
func sampleValues() []event.Value {
	list := []event.Value{{}, event.NewNull(), event.NewInt(12), event.NewBool(true), event.NewArray(nil), event.NewObject(nil)}
	for _, text := range []string{"sample", "2026-01-02T03:04:05Z", "12", "{}", "a,b;c-d|e f/g_h:i.j@k"} {
		list = append(list, event.NewString(text))
	}
	return list
}

// textMembers are the members of events that are always texts.
var textMembers = []string{"type", "messageId", "timestamp", "originalTimestamp", "sentAt", "receivedAt", "userId", "anonymousId", "event", "groupId", "previousId"}

// sampleEvent returns an event of a type with all members that are texts.
func sampleEvent(kind string) event.Value {
	var members []event.Member
	for _, key := range textMembers {
		text := "sample"
		switch {
		case key == "type":
			text = kind
		case slices.Contains([]string{"timestamp", "originalTimestamp", "sentAt", "receivedAt"}, key):
			text = "2026-01-02T03:04:05Z"
		case typeWithMember(key) != "" && typeWithMember(key) != kind:
			continue
		}
		members = append(members, event.Member{Key: key, Value: event.NewString(text)})
	}
	for _, key := range []string{"properties", "traits", "context", "integrations"} {
		members = append(members, event.Member{Key: key, Value: event.NewObject(nil)})
	}
	return event.NewObject(members)
}

// withValueAt returns an object with a value at a path; an absent value changes nothing. Members of events that are texts stay as they are.
func withValueAt(v event.Value, keys []string, value event.Value) event.Value {
	if len(keys) == 0 || value.Kind() == event.Absent || len(keys) == 1 && slices.Contains(textMembers, keys[0]) && v.Get("type").Exists() {
		return v
	}
	if len(keys) > 1 {
		value = withValueAt(v.Get(keys[0]), keys[1:], value)
	}
	return destination.Overlay(v, event.NewObject([]event.Member{{Key: keys[0], Value: value}}))
}
