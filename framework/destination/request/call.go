package request

import (
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/mapping"
)

// Call is a request, or several steps, whose responses give a result, such as the id of an audience that was created.
type Call struct {
	*Request
	result *mapping.Mapping
}

// CompileCall compiles a request that is not made for payloads, and the mapping of its result, which may read the answers of its
// steps and the body of the last response. The error is a fault.Problems: those of the request are under /request, those of the
// result under the key.
func CompileCall(v, result event.Value, key string, names Names) (*Call, error) {
	var problems fault.Problems
	for _, part := range []string{"batch", "refuse"} {
		if v.Get(part).Exists() {
			problems.Add("/request/"+part, "is only allowed in requests for payloads")
		}
	}
	c := newCompiler(names)
	c.isCall = true
	r := c.compileRequest(v)
	problems.AddUnder("/request", c.problems.Err())
	c.problems = nil
	c.names[bodyName] = nil
	m := c.compileMapping(result, "/"+key)
	r.usesToken = r.usesToken || c.used[Auth]
	problems = append(problems, c.problems...)
	if err := problems.Err(); err != nil {
		return nil, err
	}
	return &Call{r, m}, nil
}

// Result returns the result for a scope, the answers of the steps and the body of the last response.
func (c *Call) Result(scope event.Value, answers []event.Member, body event.Value) (event.Value, error) {
	if c.result == nil {
		return event.NewObject(nil), nil
	}
	return c.result.Resolve(withMembers(scope, event.Member{Key: Answers, Value: event.NewObject(answers)}, event.Member{Key: bodyName, Value: body}))
}
