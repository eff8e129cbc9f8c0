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

// tag is a compiled tag that writes to w.
type tag func(w io.Writer, s *scope) error

// newConfig is the grammar of a template with these pieces.
func newConfig(pieces []piece, uses *uses) render.Config {
	config := render.NewConfig()
	read := reader{filters: filters(), uses: uses}
	for name, compile := range map[string]func(reader, string) (tag, error){
		textTag: compileText, outputTag: compileOutput, "echo": compileEcho, "assign": compileAssign, "cycle": compileCycle,
		"increment": compileIncrement, "decrement": compileDecrement,
	} {
		config.AddTag(name, func(number string) (func(io.Writer, render.Context) error, error) {
			run, err := compile(read, argsOf(pieces, number))
			if err != nil {
				return nil, err
			}
			return func(w io.Writer, ctx render.Context) error { return run(w, scopeOf(ctx)) }, nil
		})
	}
	config.AddBlock("capture").Compiler(captureBlock(read, pieces))
	config.AddBlock("if").Clause("elsif").Clause("else").Compiler(conditionBlock(read, pieces, true))
	config.AddBlock("unless").Clause("elsif").Clause("else").Compiler(conditionBlock(read, pieces, false))
	return config
}

// argsOf are the arguments of a piece, whose number is all that the outline says.
func argsOf(pieces []piece, number string) string {
	i, err := strconv.Atoi(strings.TrimSpace(number))
	if err != nil || i < 0 || i >= len(pieces) {
		return ""
	}
	return pieces[i].args
}

func compileText(_ reader, text string) (tag, error) {
	return func(w io.Writer, _ *scope) error {
		_, err := io.WriteString(w, text)
		return err
	}, nil
}

func compileEcho(read reader, args string) (tag, error) {
	if args == "" {
		return func(io.Writer, *scope) error { return nil }, nil
	}
	return compileOutput(read, args)
}

func compileOutput(read reader, args string) (tag, error) {
	value, err := read.filtered(args)
	if err != nil {
		return nil, err
	}
	return func(w io.Writer, s *scope) error { return write(w, s, value) }, nil
}

func write(w io.Writer, s *scope, n node) error {
	v, err := n.eval(s)
	if err != nil {
		return err
	}
	if v.Size() > MaxText {
		return errTooLong
	}
	_, err = io.WriteString(w, text(v))
	return err
}

func compileAssign(read reader, args string) (tag, error) {
	name, rest := identifier(args)
	rest, ok := strings.CutPrefix(strings.TrimSpace(rest), "=")
	if name == "" || !ok {
		return nil, errors.New(`expected a name and "="`)
	}
	value, err := read.filtered(rest)
	if err != nil {
		return nil, err
	}
	read.uses.define(name)
	return func(_ io.Writer, s *scope) error {
		v, err := value.eval(s)
		if err == nil {
			s.assign(name, v)
		}
		return err
	}, nil
}

func compileIncrement(read reader, args string) (tag, error) {
	name, _ := identifier(args)
	read.uses.define(name)
	return func(w io.Writer, s *scope) error {
		_, err := io.WriteString(w, event.FormatFloat(s.count(name, 1)))
		return err
	}, nil
}

func compileDecrement(read reader, args string) (tag, error) {
	name, _ := identifier(args)
	read.uses.define(name)
	return func(w io.Writer, s *scope) error {
		_, err := io.WriteString(w, event.FormatFloat(s.count(name, -1)-1))
		return err
	}, nil
}

// compileCycle reads `a, b` or `group: a, b`, which prints its values one after the other.
func compileCycle(read reader, args string) (tag, error) {
	group, values, err := read.cycle(args)
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
			key = fmt.Sprintf("%s: %s", text(name), key)
		}
		if s.cycles == nil {
			s.cycles = map[string]int{}
		}
		at := s.cycles[key]
		s.cycles[key] = (at + 1) % len(values)
		return write(w, s, values[at])
	}, nil
}

// captureBlock keeps what is inside of it as a variable.
func captureBlock(read reader, pieces []piece) render.BlockCompiler {
	return func(block render.BlockNode) (func(io.Writer, render.Context) error, error) {
		args := argsOf(pieces, block.Args)
		name, _ := identifier(args)
		if n := quotedLen(args + " "); len(args) > 0 && isQuote(args[0]) && n > 0 {
			name = args[1 : n-1]
		}
		if name == "" {
			return nil, errors.New("expected a name")
		}
		read.uses.define(name)
		return func(_ io.Writer, ctx render.Context) error {
			s := scopeOf(ctx)
			inside := &output{scope: s}
			if err := ctx.RenderChildren(inside); err != nil {
				return err
			}
			v := event.NewString(inside.text.String())
			s.assign(name, v)
			return s.use(v)
		}, nil
	}
}

// branch is a part of an if or unless.
type branch struct {
	test node // nil for else
	body *render.BlockNode
}

// conditionBlock is an if, or an unless: an if whose first test is turned round.
func conditionBlock(read reader, pieces []piece, want bool) render.BlockCompiler {
	return func(block render.BlockNode) (func(io.Writer, render.Context) error, error) {
		test, err := read.filtered(argsOf(pieces, block.Args))
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
				if b.test, err = read.filtered(argsOf(pieces, clause.Args)); err != nil {
					return nil, err
				}
			}
			branches = append(branches, b)
		}
		return func(w io.Writer, ctx render.Context) error { return choose(w, ctx, branches) }, nil
	}
}

// choose renders the first branch whose test holds.
func choose(w io.Writer, ctx render.Context, branches []branch) error {
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
