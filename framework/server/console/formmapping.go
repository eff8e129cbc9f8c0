package console

import (
	"cmp"
	"net/url"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
)

// showValue sets the inputs of the field for its value.
func (in *fieldInput) showValue() {
	in.Mode, in.Text = inputMode(in.value)
	if in.Mode == "json" {
		if in.Card = newCard(in.Name, in.value, 0); in.Card != nil {
			in.Mode = modeCard
		}
	}
}

// readMapping reads the inputs of the field. The value that the file has stays as it is written if they do not change it.
func (in *fieldInput) readMapping(q url.Values) {
	in.Mode, in.Text = q.Get(in.Name+".mode"), strings.ReplaceAll(q.Get(in.Name+".text"), "\r\n", "\n")
	was := cmp.Or(q.Get(in.Name+".was"), in.Mode)
	if was == modeCard {
		in.Card, in.changed = readCard(q, in.Name, 0)
	}
	if in.Mode != was {
		in.turn(was)
	}
	if in.Mode == modeCard && in.Card == nil { // the parameters are incomplete
		in.Mode, in.Text = "json", indentJSON(in.value)
	}
	if in.Mode != modeCard {
		if mode, text := inputMode(in.value); mode != in.Mode || text != in.Text {
			in.value = in.mappedValue()
		}
		return
	}
	in.Errors = append(in.Errors, in.Card.problems()...)
	if v := in.Card.value(); len(in.Errors) == 0 && !event.Equal(v, in.value) {
		in.value = v
	}
}

// turn changes the inputs from those of another mode to those of in.Mode, with the same value as far as possible.
func (in *fieldInput) turn(was string) {
	shown := &fieldInput{Field: in.Field, Mode: was, Text: in.Text, Card: in.Card}
	v := shown.mappedValue()
	switch {
	case was == "default":
		v = in.Field.Default
	case was == modeCard && in.Card != nil:
		v = in.Card.value()
	case len(shown.Errors) > 0:
		in.Mode = was // what cannot be read would be lost
		return
	}
	in.changed, in.Card = in.isStructured() || (&fieldInput{Mode: was}).isStructured(), nil
	if in.Mode == modeCard {
		in.Card = cardFor(in.Name, v, 0)
		return
	}
	in.Text = textFor(in.Mode, was, in.Text, v)
}

// isStructured reports whether the field has other inputs than a line of text.
func (in *fieldInput) isStructured() bool { return in.Mode == modeCard || in.Mode == "json" }

// textFor returns the text of an input that had another mode, in which it described a value.
func textFor(mode, was, text string, v event.Value) string {
	switch {
	case mode == "json" && strings.ContainsAny(text[:min(len(text), 1)], `{["`) && !strings.HasPrefix(text, "{{"):
		return text // it was typed in the same step
	case mode == "json":
		return cmp.Or(indentJSON(v), `""`)
	case was != modeCard && was != "json":
		return text
	case v.Kind() == event.Object || v.Kind() == event.Array:
		if mode, text := inputMode(v); mode != "json" {
			return text
		}
		return ""
	}
	return v.Text()
}
