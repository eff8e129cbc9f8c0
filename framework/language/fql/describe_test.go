package fql

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestDescribe(t *testing.T) {
	cases := [][2]string{
		{`type = "track"`, `the type is “track”`},
		{`event = "Audience Entered" or event = "Audience Exited"`, `the event is “Audience Entered” or “Audience Exited”`},
		{`type in ["a", "b", "c"]`, `the type is “a”, “b” or “c”`},
		{`type = "a" or type in ["b"] or userId = null or type = "c"`, `the type is “a”, “b” or “c” or the user id is missing`},
		{`properties.n = 1 or properties.n = 2`, `the property n is 1 or 2`},
		{`properties.n != 1 and properties.n != 2`, `the property n is a number other than 1 and the property n is a number other than 2`},
		{`event != "a" and event != "b" and !(event in ["c"])`, `the event is neither “a”, “b” nor “c”`},
		{`event != "a"`, `the event is not “a”`},
		{`event = "a" and event = "b"`, `the event is “a” and the event is “b”`},
		{`type = "track" and (event = "A" or event = "B")`, `the type is “track” and the event is “A” or “B”`},
		{`type = "track" and (event = "A" or userId != null)`, `the type is “track” and (the event is “A” or the user id is present)`},
		{`type = "page" or type = "track" and event = "A"`, `the type is “page” or (the type is “track” and the event is “A”)`},
		{`!(type = "page" or name = "Home")`, `not (the type is “page” or the name is “Home”)`},
		{`!(type = "page" or type = "screen")`, `the type is neither “page” nor “screen”`},
		{`!(properties.n != 5) and !properties.n = 6`, `the property n is 5 or not a number and the property n is not 6`},
		{`properties.n > 1 and properties.n >= 2 and traits.n < 3.5 and context.n <= 4`, `the property n is more than 1 and the property n is at least 2 and the trait n is less than 3.5 and the field context.n is at most 4`},
		{`!properties.n > 1`, `the property n is not more than 1`},
		{`properties.vip or !traits.vip`, `the property vip is true or the trait vip is not true`},
		{`properties.vip = true and properties.x != false`, `the property vip is true and the property x is not false`},
		{`"a" in properties.tags or !("b" in properties.tags)`, `the property tags contains “a” or the property tags does not contain “b”`},
		{`properties.x in ["a"] and !(properties.y in ["b"])`, `the property x is “a” and the property y is not “b”`},
		{`x in []`, `the field x is in an empty list`},
		{`properties.x = ["a", 1]`, `the property x is the list ["a", 1]`},
		{`contains(event, "Order") and !contains(event, "x")`, `the event contains “Order” and the event is text that does not contain “x”`},
		{`!(contains(event, "x")) or !!contains(event, "y")`, `the event does not contain “x” or not (the event is text that does not contain “y”)`},
		{`match(event, "Order*") or match(event, "*Done") or match(event, "a?c")`, `the event begins with “Order” or the event ends with “Done” or the event matches the pattern “a?c”`},
		{`!match(event, "Order*") and !match(event, "*Done") and !match(event, "a?c")`, `the event is text that does not begin with “Order” and the event is text that does not end with “Done” and the event is text that does not match the pattern “a?c”`},
		{`lowercase(event) = "x" and uppercase(event) = "X" and length(userId) > 3`, `the event in lower case is “x” and the event in upper case is “X” and the length of the user id is more than 3`},
		{`snakecase(event) = "x" and kebabcase(event) = "x" and titlecase(event) = "X"`, `the event with underscores for spaces is “x” and the event with dashes for spaces is “x” and the event in title case is “X”`},
		{`typeof(properties.n) = "number" and bool(traits.vip) and !bool(traits.x)`, `the kind of the property n is “number” and the trait vip counts as true and the trait x does not count as true`},
		{`bool(x) = true and number(x) = 5 and string(x) = "5" and contains(x, "a") = true`, `the field x as true or false is true and the field x as a number is 5 and the field x as a string is “5” and whether the field x contains “a” is true`},
		{`userId = $.anonymousId`, `the user id is the anonymous id`},
		{`true`, `always`}, {`!true`, `never`}, {`false`, `never`}, {`!false`, `always`},
	}
	for _, c := range cases {
		assert.Equal(t, c[1], compile(t, c[0]).Describe(), c[0])
	}
}

func TestString(t *testing.T) {
	cases := [][2]string{
		{"\n type='track'\tand event=\"A\" ", `type = "track" and event = "A"`},
		{`type="a"event="b"`, `type = "a" and event = "b"`},
		{`((a = 1) and (b = 2 and (c = 3))) or (d = 4)`, `a = 1 and b = 2 and c = 3 or d = 4`},
		{`(a = 1 or b = 2) and c = 3`, `(a = 1 or b = 2) and c = 3`},
		{`!a = 1 and !(b) and !!c and !!!d`, `!(a = 1) and !b and c and !d`},
		{`!contains(a,"x") and !(contains(a,"x")) and !!contains(a,'x')`, `!contains(a, "x") and !(contains(a, "x")) and !!contains(a, "x")`},
		{`!(a or b and c)`, `!(a or b and c)`},
		{`$.event = $.name and "x" in tags`, `event = $.name and "x" in tags`},
		{`properties["first name"][0].x\.y = 'it\'s "so"'`, `properties.first\ name.0.x\.y = "it's \"so\""`},
		{`\in = 1 and \NOT and \5a = 1 and \-b = 1 and größe = 1 and \$ = 1`, `\in = 1 and \NOT and \5a = 1 and \-b = 1 and größe = 1 and \$ = 1`},
		{`a = +05 and b = -0.50 and c = "\q\n\\"`, `a = 5 and b = -0.50 and c = "\\q\n\\"`},
		{`x in["a" ,1,-2,true,null]and y in []`, `x in ["a", 1, -2, true, null] and y in []`},
		{`contains ( lowercase( event ),"x")`, `contains(lowercase(event), "x")`},
	}
	for _, c := range cases {
		q := compile(t, c[0])
		assert.Equal(t, c[1], q.String(), c[0])
		assert.Equal(t, c[1], compile(t, q.String()).String(), c[0])
	}
}
