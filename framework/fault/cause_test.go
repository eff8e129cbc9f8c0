package fault_test

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/fault"
)

// TestCausesAreDescribed reads the constants of cause.go, so that a cause without a description fails.
func TestCausesAreDescribed(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "cause.go", nil, 0)
	require.NoError(t, err)
	declared := map[fault.Cause]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if ok && strings.HasPrefix(spec.Names[0].Name, "Cause") {
			text, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			require.NoError(t, err)
			assert.False(t, declared[fault.Cause(text)], "%s is declared twice", text)
			declared[fault.Cause(text)] = true
		}
		return true
	})
	require.NotEmpty(t, declared)
	for _, c := range fault.Causes() {
		assert.True(t, declared[c.Cause], "%s is described but not declared", c.Cause)
		delete(declared, c.Cause)
		assert.Regexp(t, `^[a-z]+(_[a-z]+)*$`, c.Cause)
		assert.NotEmpty(t, c.Text, c.Cause)
		assert.Equal(t, c.Text, c.Cause.Text())
		assert.Equal(t, c.Next, c.Cause.Next())
		assert.NotRegexp(t, `\.$`, c.Text+c.Next, "%s: a clause, without a period", c.Cause)
	}
	assert.Empty(t, declared, "causes without a description")
	assert.Empty(t, fault.Cause("unknown").Text())
}

func TestCauseOf(t *testing.T) {
	for _, c := range []struct {
		err  error
		want fault.Cause
	}{
		{nil, ""},
		{fault.Invalid("x"), fault.CauseInvalidField},
		{fault.Invalid("x").Because(fault.CauseNoIdentifier), fault.CauseNoIdentifier},
		{fmt.Errorf("sending: %w", fault.Invalid("x").Because(fault.CauseWrongAudience)), fault.CauseWrongAudience},
		{&fault.Error{Code: fault.CodeInvalidEvent, Status: 400}, fault.CauseInvalidEvent},
		{fault.ConnectionFailed(errors.New("reset")), fault.CauseRemoteUnavailable},
		{context.DeadlineExceeded, fault.CauseRemoteUnavailable},
		{fault.StateUnavailable("reading", errors.New("locked")), fault.CauseStateUnavailable},
		{&fault.Error{Code: fault.CodeLogin, Status: 401, Retry: true}, fault.CauseLoginRequired},
		{&fault.Error{Code: fault.CodeEgress, Status: 400}, fault.CauseEgressDenied},
		{errors.New("a bug"), fault.CauseHandlerFailed},
		{fault.FromStatus(429, ""), fault.CauseRateLimited},
		{fault.FromStatus(503, ""), fault.CauseRemoteUnavailable},
		{fault.FromStatus(423, ""), fault.CauseRemoteUnavailable},
		{fault.FromStatus(404, ""), fault.CauseRefused},
		{fault.FromStatus(501, ""), fault.CauseRefused},
	} {
		assert.Equal(t, c.want, fault.CauseOf(c.err), "%v", c.err)
	}
}
