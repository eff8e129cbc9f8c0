package event

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPathRead(t *testing.T) {
	v := MustParse(`{"a":{"b":{"c":1},"f g":3,"arr":[{"x":1},{"x":2}],"n":null,"z":0,"f":false,"s":"","str":"hello","it's":4},"[t] x":{"y":5},"😀":"😀b"}`)
	cases := map[string]string{
		"$.a.b.c": "1", "a.b.c": "1", "a..b.c": "1", ".a.b.c": "1", `a['b']["c"]`: "1", `['a'].b.c`: "1", `$['a'].b.c`: "1", `$["a"]["b"].c`: "1",
		`a["f g"]`: "3", `a['f g']`: "3", "a.f g": "3", "a.it's": "4",
		"a.arr[0].x": "1", "a.arr.0.x": "1", "a.arr[1].x": "2",
		"a.arr[-1].x": "", "a.arr[9].x": "", "a.arr[01].x": "", "a.arr.x": "", "a.missing.x": "", "a.b.c.d": "",
		"a.arr.length": "2", "a.str.length": "5", "a.str[0]": `"h"`, "a.str[9]": "",
		"a.n": "null", "a.n.x": "null", "a.z.x": "0", "a.f.x": "false", "a.s.x": `""`, "a.s.length": `""`,
		"[t] x.y": "5", "😀.length": "3", "😀[2]": `"b"`, "😀[0]": "\"\uFFFD\"",
		"constructor": "", "__proto__": "", "toString": "", "a.constructor.name": "", "a.arr.push": "",
	}
	for path, want := range cases {
		assert.Equal(t, want, NewPath(path).Read(v).JSON(), path)
	}
	for _, whole := range []string{"", ".", "$.", "$"} {
		assert.Equal(t, v.JSON(), NewPath(whole).Read(v).JSON(), "path %q", whole)
	}
	assert.Equal(t, "1", PathOf("a", "b", "c").Read(v).JSON())
	assert.Equal(t, "", PathOf("a.b").Read(v).JSON())
}

func TestAt(t *testing.T) {
	v := MustParse(`{"a":[{"b/c":1,"d~e":2}],"":3}`)
	for pointer, want := range map[string]string{"": v.JSON(), "/a/0/b~1c": "1", "/a/0/d~0e": "2", "/": "3", "/a/1": "", "/a/x": "", "/a/0/b~1c/x": "", "/a/00": ""} {
		assert.Equal(t, want, v.At(pointer).JSON(), pointer)
	}
}

func TestParseRefuses(t *testing.T) {
	cases := map[string]string{
		``:                  "the text is empty",
		`{`:                 "unexpected end of the text at byte 1",
		`{"a":1`:            "unexpected end of the text at byte 6",
		`{"a" 1}`:           "expected a colon after a key at byte 5",
		`{"a":1,}`:          "there is a comma after the last member at byte 7",
		`{a:1}`:             "expected a key in quotes at byte 1",
		`{"a":01}`:          "a number must not have a leading zero at byte 6",
		`[1 2]`:             "expected a comma or ] after an item at byte 3",
		`{"a":.5}`:          "a number begins with a digit or a minus sign at byte 5",
		`{"a":"x` + "\n\"}": "unescaped control character 0xa in a string at byte 7",
		`{"a":"\x"}`:        "unknown escape in a string at byte 7",
		`{"a":"\u12g4"}`:    `expected four hexadecimal digits after \u at byte 10`,
		`{"a":nul}`:         "a word without quotes at byte 5: texts are written in double quotes, and the only words are true, false and null",
		`{"a":nul`:          "unexpected end of the text at byte 8",
		`{"a":NaN}`:         "a word without quotes at byte 5: texts are written in double quotes, and the only words are true, false and null",
		`{"a":_}`:           "a word without quotes at byte 5: texts are written in double quotes, and the only words are true, false and null",
		`{"a":'b'}`:         "texts and keys are written in double quotes at byte 5",
		`{"a":<}`:           "unexpected '<' at byte 5",
		`[-012]`:            "a number must not have a leading zero at byte 3",
		`[1,]`:              "a value is missing before ']' at byte 3",
		`{} {}`:             "unexpected text after the value at byte 3",
		`{"a":1e}`:          "expected a digit in the exponent at byte 7",
		`{"a":[}`:           "a value is missing before '}' at byte 6",
		"not json":          "a word without quotes at byte 0: texts are written in double quotes, and the only words are true, false and null",
		`[1]`:               "an event must be a JSON object, but this is an array",
		`null`:              "an event must be a JSON object, but this is null",
	}
	for text, want := range cases {
		_, err := Parse([]byte(text))
		assert.EqualError(t, err, want, text)
	}
}

func TestParseLimits(t *testing.T) {
	deep := strings.Repeat(`{"a":`, MaxDepth) + "1" + strings.Repeat("}", MaxDepth)
	_, err := Parse([]byte(deep))
	require.NoError(t, err)
	_, err = Parse([]byte(`{"a":` + deep + "}"))
	assert.ErrorContains(t, err, "nested deeper than 200")
	_, err = Parse([]byte(`{"a":"` + strings.Repeat("x", MaxBytes) + `"}`))
	assert.ErrorContains(t, err, "larger than 10 MB")
}

func TestParseKeepsTheOriginalText(t *testing.T) {
	e, err := Parse([]byte("{ \"b\" : 12345678901234567890.50, \"a\": [ 1e2 ,{}, [ ] ], \"a\":2, \"\\u0062\\n\":\"\\ud83d\\ude00\\ud800\\/\" }"))
	require.NoError(t, err)
	assert.Equal(t, `{"b":12345678901234567890.50,"a":2,"b\n":"😀`+"\uFFFD"+`/"}`, e.Value().JSON())
	assert.Equal(t, 3, e.Value().Len())
	broken, err := Parse([]byte("{\"a\":\"\xff\"}"))
	require.NoError(t, err)
	assert.Equal(t, "\uFFFD", broken.Value().Get("a").Str())
}

func TestFormatNumber(t *testing.T) {
	cases := map[string]string{
		"5": "5", "1.5": "1.5", "1e21": "1e+21", "1e-7": "1e-7", "0.0000001": "1e-7", "-0": "0", "-0.0": "0", "1.0": "1",
		"0.000001": "0.000001", "123456789012345678901": "123456789012345678901", "9007199254740993": "9007199254740993",
		"1e400": "Infinity", "-1e400": "-Infinity", "1.50": "1.5", "1.2345e-10": "1.2345e-10", "1e20": "100000000000000000000",
	}
	for digits, want := range cases {
		assert.Equal(t, want, FormatNumber(digits), digits)
	}
}

func TestText(t *testing.T) {
	assert.Equal(t, `1,,x,2,3,{"a":1}`, MustParse(`[1,null,"x",[2,3],{"a":1.0}]`).Index(0).Text()+`,,x,2,3,{"a":1}`)
	assert.Equal(t, `1,,x,2,3`, MustParse(`[1,null,"x",[2,3]]`).Text())
	assert.Equal(t, `{"a":[1]}`, MustParse(`{"a": [1]}`).Text())
}

func TestEqual(t *testing.T) {
	same := [][2]string{{`{"a":1,"b":[2.0]}`, `{"b":[2],"a":1e0}`}, {`"\u0061"`, `"a"`}, {"-0", "0"}, {"[]", "[ ]"}}
	for _, pair := range same {
		assert.True(t, Equal(MustParse(pair[0]), MustParse(pair[1])), pair)
	}
	differ := [][2]string{{`{"a":1}`, `{"a":1,"b":2}`}, {"9007199254740993", "9007199254740992"}, {"1", `"1"`}, {"[1]", "[1,1]"}, {"true", "false"}, {`{"a":1}`, `{"b":1}`}}
	for _, pair := range differ {
		assert.False(t, Equal(MustParse(pair[0]), MustParse(pair[1])), pair)
	}
}

func TestBuiltValuesReadLikeParsedOnes(t *testing.T) {
	text := `{"s":"x\"y","n":-1.5,"t":true,"l":[1,null,{"k":[]}],"o":{}}`
	var plain any
	require.NoError(t, json.Unmarshal([]byte(text), &plain))
	built, err := From(plain)
	require.NoError(t, err)
	assert.True(t, Equal(MustParse(text), built))
	assert.Equal(t, `{"k":[]}`, NewPath("l[2]").Read(built).JSON())
	assert.Equal(t, "3", NewPath("l.length").Read(built).JSON())
	assert.Equal(t, `[null]`, NewArray([]Value{{}}).JSON())
	_, err = From(make(chan int))
	assert.Error(t, err)
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{`{"a":[1,{"b":"\u00e9\\"}],"a":null}`, `[1e5,-0.1,true]`, `"\ud83d\ude00"`, `{"":{}}`, ` 1 `, "{\"k\":\"\x80\"}"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		v, err := ParseValue(raw)
		if json.Valid(raw) != (err == nil) {
			if _, bound := err.(*SyntaxError); bound && strings.Contains(err.Error(), "nested deeper") {
				return
			}
			t.Fatalf("encoding/json says valid=%v, error here: %v", json.Valid(raw), err)
		}
		if err != nil {
			return
		}
		var plain any
		decoder := json.NewDecoder(strings.NewReader(string(raw)))
		decoder.UseNumber()
		require.NoError(t, decoder.Decode(&plain))
		assert.Equal(t, plain, v.Any())
		again, err := ParseString(v.JSON())
		require.NoError(t, err)
		require.True(t, Equal(v, again))
	})
}

func FuzzPath(f *testing.F) {
	f.Add("$.a['b'].0.length", `{"a":{"b":["x"]}}`)
	f.Fuzz(func(t *testing.T, path, text string) {
		v, err := ParseString(text)
		if err != nil {
			return
		}
		NewPath(path).Read(v).JSON()
	})
}

func TestHoles(t *testing.T) {
	inner := NewObject([]Member{{"x", Value{}}, {"y", NewInt(1)}})
	v := NewObject([]Member{{"a", Value{}}, {"b", NewArray([]Value{inner, {}})}})
	assert.Equal(t, `{"b":[{"y":1},null]}`, v.JSON())
	assert.Equal(t, 1, v.Len())
	assert.True(t, Equal(v, v.WithoutHoles()))
	slots := 0
	for range v.WithoutHoles().Slots() {
		slots++
	}
	assert.Equal(t, 1, slots)
}

func TestSizeCountsSharedPartsEachTime(t *testing.T) {
	v := NewString("x")
	for range 100 {
		v = NewArray([]Value{v, v})
	}
	assert.Equal(t, maxSize, v.Size())
}
