package expression_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/mapping/internal/expression"
)

// TestMistakesAreExplained checks that messages are in words about the expression, without the compiler's tokens and types.
func TestMistakesAreExplained(t *testing.T) {
	for text, want := range map[string]string{
		``: "the expression is empty", ` `: "the expression is empty", `a +`: "the expression ends too early: something should follow this",
		`let x = 1`: "the expression ends too early: something should follow this", `(a`: "the expression ends, but a ( is not closed",
		`map(l, {#.y`: "the expression ends, but a { is not closed", `a["b`: `the text that begins with " is not closed`, `a)`: "this ) closes no bracket that is open",
		"`\\` +": "the expression ends too early: something should follow this", `"\"" +`: "the expression ends too early: something should follow this",
		`/* a`: "the comment that begins with /* is not closed", `'a\q'`: "this text contains an escape that does not exist", `a b`: `"b" does not fit here: something is missing before it, or it is not part of the language`,
		`a @ 2`: `"@" does not fit here: something is missing before it, or it is not part of the language`, `1.2.3`: `"1.2.3" is no number, or too large`,
		`99999999999999999999999`: `"99999999999999999999999" is no number, or too large`, `0x`: `"0x" is no number, or too large`,
		`1 + 'a'`: "+ cannot be used on a number and a text", `not 5`: "not cannot be used on a number", `len()`: "len cannot be called with no arguments",
		`upper(1, 2)`: "upper cannot be called with a number, a number", `1 ? 2 : 3`: "a number does not fit here: another kind of value is needed",
		`filter('a', true)`: "a text does not fit here: another kind of value is needed", `let a = 1; let a = 2; a`: `the name "a" is taken already`,
		`-true`: "- cannot be used on a boolean", `true + upper('x')`: "+ cannot be used on a boolean and the result of upper", `{} > 1`: "> cannot be used on an object and a number",
		`nil + 1`: "+ cannot be used on null and a number", `not (1 + 2)`: "not cannot be used on the result of +", `-'a' + 1`: "- cannot be used on a text",
		`map(1, #)`: "a number does not fit here: another kind of value is needed", `#`: `"#" does not fit here: something is missing before it, or it is not part of the language`,
		`a()()`:        `"(" does not fit here: something is missing before it, or it is not part of the language`,
		`true and [1]`: "and cannot be used on a boolean and a list", `foo(1)`: `unknown function "foo"`,
	} {
		_, err := expression.Compile(text)
		problems := fault.ProblemsOf(err)
		if assert.Len(t, problems, 1, text) {
			assert.Equal(t, want, problems[0].Message, text)
			assert.NotZero(t, problems[0].Column, text)
		}
	}
}

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
