package expression_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/mapping/internal/expression"
)

func TestRegularExpressionsThatCannotBeUsed(t *testing.T) {
	for pattern, want := range map[string]string{
		`[`: `the regular expression "[" cannot be used: a [ is not closed at "["`, `(`: `the regular expression "(" cannot be used: a ( is not closed at "("`,
		`a)`: `the regular expression "a)" cannot be used: a ) has no opening ( at "a)"`, `*`: `the regular expression "*" cannot be used: there is nothing to repeat at "*"`,
		`(?=a)`: `the regular expression "(?=a)" cannot be used: lookaheads and other groups with ? are not supported at "(?="`,
		`[z-a]`: `the regular expression "[z-a]" cannot be used: there is no such class or range of characters at "z-a"`,
	} {
		_, err := expression.Compile(`event matches '` + pattern + `'`)
		problems := fault.ProblemsOf(err)
		if assert.Len(t, problems, 1, pattern) {
			assert.Equal(t, want, problems[0].Message)
			assert.Equal(t, 1, problems[0].Line)
		}
	}
}
