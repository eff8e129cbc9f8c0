package liquid

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/osteele/liquid/render"

	"github.com/landfall-dev/landfall/framework/event"
)

// tag is a compiled tag, which writes its output to w.
type tag func(w io.Writer, s *scope) error

// newConfig returns the tags and blocks of a template with these pieces.
func newConfig(pieces []piece, uses *uses) render.Config {
	config := render.NewConfig()
	parser := expressionParser{filters: filters(), uses: uses}
	for name, compile := range map[string]func(expressionParser, string) (tag, error){
		textTag: compileText, outputTag: compileOutput, "echo": compileEcho, "assign": compileAssign, "cycle": compileCycle,
		"increment": compileIncrement, "decrement": compileDecrement,
	} {
		config.AddTag(name, func(number string) (func(io.Writer, render.Context) error, error) {
			run, err := compile(parser, argsOf(pieces, number))
			if err != nil {
				return nil, err
			}
			return func(w io.Writer, ctx render.Context) error { return run(w, scopeOf(ctx)) }, nil
		})
	}
	config.AddBlock("capture").Compiler(captureBlock(parser, pieces))
	config.AddBlock("if").Clause("elsif").Clause("else").Compiler(conditionBlock(parser, pieces, true))
	config.AddBlock("unless").Clause("elsif").Clause("else").Compiler(conditionBlock(parser, pieces, false))
	return config
}

// argsOf returns the arguments of a piece. The outline contains only its number.
func argsOf(pieces []piece, number string) string {
	i, err := strconv.Atoi(strings.TrimSpace(number))
	if err != nil || i < 0 || i >= len(pieces) {
		return ""
	}
	return pieces[i].args
}

func compileText(_ expressionParser, text string) (tag, error) {
	return func(w io.Writer, _ *scope) error {
		_, err := io.WriteString(w, text)
		return err
	}, nil
}

func compileEcho(parser expressionParser, args string) (tag, error) {
	if args == "" {
		return func(io.Writer, *scope) error { return nil }, nil
	}
	return compileOutput(parser, args)
}

func compileOutput(parser expressionParser, args string) (tag, error) {
	value, err := parser.parseFiltered(args)
	if err != nil {
		return nil, err
	}
	return func(w io.Writer, s *scope) error { return writeValue(w, s, value) }, nil
}

func writeValue(w io.Writer, s *scope, n node) error {
	v, err := n.eval(s)
	if err != nil {
		return err
	}
	if v.Size() > MaxText {
		return errTooLong
	}
	_, err = io.WriteString(w, printText(v))
	return err
}

func compileAssign(parser expressionParser, args string) (tag, error) {
	name, rest := identifier(args)
	rest, ok := strings.CutPrefix(strings.TrimSpace(rest), "=")
	if name == "" || !ok {
		return nil, errors.New(`expected a name and "="`)
	}
	value, err := parser.parseFiltered(rest)
	if err != nil {
		return nil, err
	}
	parser.uses.addVariable(name)
	return func(_ io.Writer, s *scope) error {
		v, err := value.eval(s)
		if err == nil {
			s.assign(name, v)
		}
		return err
	}, nil
}

func compileIncrement(parser expressionParser, args string) (tag, error) {
	name, _ := identifier(args)
	parser.uses.addVariable(name)
	return func(w io.Writer, s *scope) error {
		_, err := io.WriteString(w, event.FormatFloat(s.addToCounter(name, 1)))
		return err
	}, nil
}

func compileDecrement(parser expressionParser, args string) (tag, error) {
	name, _ := identifier(args)
	parser.uses.addVariable(name)
	return func(w io.Writer, s *scope) error {
		_, err := io.WriteString(w, event.FormatFloat(s.addToCounter(name, -1)-1))
		return err
	}, nil
}

// compileCycle compiles `a, b` or `group: a, b`, which prints its values in turn.
func compileCycle(parser expressionParser, args string) (tag, error) {
	group, values, err := parser.parseCycle(args)
	if err != nil {
		return nil, err
	}
	return func(w io.Writer, s *scope) error {
		key := strings.Join(strings.Fields(args), " ")
		if group != nil {
			name, err := group.eval(s)
			if err != nil {
				return err
			}
			key = fmt.Sprintf("%s: %s", printText(name), key)
		}
		if s.cycles == nil {
			s.cycles = map[string]int{}
		}
		at := s.cycles[key]
		s.cycles[key] = (at + 1) % len(values)
		return writeValue(w, s, values[at])
	}, nil
}

// captureBlock stores the output of its content in a variable.
func captureBlock(parser expressionParser, pieces []piece) render.BlockCompiler {
	return func(block render.BlockNode) (func(io.Writer, render.Context) error, error) {
		args := argsOf(pieces, block.Args)
		name, _ := identifier(args)
		if n := quotedLen(args + " "); len(args) > 0 && isQuote(args[0]) && n > 0 {
			name = args[1 : n-1]
		}
		if name == "" {
			return nil, errors.New("expected a name")
		}
		parser.uses.addVariable(name)
		return func(_ io.Writer, ctx render.Context) error {
			s := scopeOf(ctx)
			inside := &output{scope: s}
			if err := ctx.RenderChildren(inside); err != nil {
				return err
			}
			v := event.NewString(inside.text.String())
			s.assign(name, v)
			return s.countWork(v)
		}, nil
	}
}

// branch is one alternative of an if or unless.
type branch struct {
	test node // nil for else
	body *render.BlockNode
}

// conditionBlock compiles an if, or, if want is false, an unless: an if whose first test is negated.
func conditionBlock(parser expressionParser, pieces []piece, want bool) render.BlockCompiler {
	return func(block render.BlockNode) (func(io.Writer, render.Context) error, error) {
		test, err := parser.parseFiltered(argsOf(pieces, block.Args))
		if err != nil {
			return nil, err
		}
		if !want {
			test = not{test}
		}
		branches := []branch{{test, &block}}
		for _, clause := range block.Clauses {
			if branches[len(branches)-1].test == nil {
				return nil, fmt.Errorf("%s after else", clause.Name)
			}
			b := branch{body: clause}
			if clause.Name == "elsif" {
				if b.test, err = parser.parseFiltered(argsOf(pieces, clause.Args)); err != nil {
					return nil, err
				}
			}
			branches = append(branches, b)
		}
		return func(w io.Writer, ctx render.Context) error { return renderBranch(w, ctx, branches) }, nil
	}
}

// renderBranch renders the first branch whose test is true.
func renderBranch(w io.Writer, ctx render.Context, branches []branch) error {
	for _, b := range branches {
		holds := b.test == nil
		if !holds {
			v, err := b.test.eval(scopeOf(ctx))
			if err != nil {
				return err
			}
			holds = isTrue(b.test, v)
		}
		if holds {
			return ctx.RenderBlock(w, b.body)
		}
	}
	return nil
}
