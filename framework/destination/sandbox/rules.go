package sandbox

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v5"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/yamldoc"
	"github.com/landfall-dev/landfall/schemas"
)

// ParseDeclared reads the rules of an API. The API accepts only these credentials, or any if there are none. The error is a fault.Problems with
// all mistakes and their places.
func ParseDeclared(file string, rules []byte, credentials []string) (*Declared, error) {
	doc, err := yamldoc.Parse(file, rules)
	if err != nil {
		return nil, err
	}
	if problems := schemas.Check(schemas.Sandbox, doc.Value()); len(problems) > 0 {
		return nil, doc.Locate(problems)
	}
	d := &Declared{credentials: credentials}
	var problems fault.Problems
	root := doc.Value()
	addPlaceholderProblems(&problems, "", root, false)
	for i, v := range root.Get("routes").Items() {
		pointer := "/routes/" + strconv.Itoa(i)
		r, err := compileRoute(root, v)
		problems.AddUnder(pointer, err)
		addPlaceholderProblems(&problems, pointer, v, v.Get("members").Get("do").Str() == listMembers)
		d.routes = append(d.routes, r)
	}
	if len(problems) > 0 {
		return nil, doc.Locate(problems)
	}
	return d, nil
}

// addPlaceholderProblems adds a problem for each {{name}} in the responses of a route, or of the whole file, that would be sent as it
// is. The body of a response with a list of members is a mapping, which is checked as such.
func addPlaceholderProblems(problems *fault.Problems, pointer string, v event.Value, isList bool) {
	for _, key := range []string{"response", "refused", "unauthorized"} {
		response := v.Get(key)
		at := pointer + "/" + key
		if key != "response" || !isList {
			checkPlaceholders(problems, at+"/body", response.Get("body"), messageName)
		}
		checkPlaceholders(problems, at+"/entry", response.Get("entry"), messageName, indexName, itemName)
		checkPlaceholders(problems, at+"/key", response.Get("key"), messageName, indexName, itemName)
	}
}

func checkPlaceholders(problems *fault.Problems, pointer string, v event.Value, known ...string) {
	check := func(at, text string) {
		for _, found := range placeholder.FindAllStringSubmatch(text, -1) {
			name, _, _ := strings.Cut(strings.TrimSpace(found[1]), ".")
			if !slices.Contains(known, name) {
				problems.Add(at, "has %s, but the names here are %s%s", found[0], strings.Join(known, ", "), fault.DidYouMean(name, known))
			}
		}
	}
	switch v.Kind() {
	case event.String:
		check(pointer, v.Str())
	case event.Array:
		for i, item := range v.Items() {
			checkPlaceholders(problems, pointer+"/"+strconv.Itoa(i), item, known...)
		}
	case event.Object:
		for key, value := range v.Members() {
			check(pointer+fault.PointerKey(key), key)
			checkPlaceholders(problems, pointer+fault.PointerKey(key), value, known...)
		}
	}
}

// compileSchema compiles a JSON Schema. The error is a fault.Problems whose pointers are in the schema.
func compileSchema(v event.Value) (*jsonschema.Schema, error) {
	if !v.Exists() {
		return nil, nil
	}
	var problems fault.Problems
	addKeywordProblems(&problems, "", v)
	if len(problems) > 0 {
		return nil, problems
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat = true
	const name = "https://landfall.dev/sandbox.json"
	if err := compiler.AddResource(name, strings.NewReader(v.JSON())); err != nil {
		return nil, err
	}
	schema, err := compiler.Compile(name)
	var invalid *jsonschema.ValidationError
	if errors.As(err, &invalid) {
		for len(invalid.Causes) > 0 {
			invalid = invalid.Causes[0]
		}
		problems.Add(invalid.InstanceLocation, "is not valid in a JSON Schema: %s", invalid.Message)
		return nil, problems
	}
	if err != nil {
		return nil, fmt.Errorf("is not a JSON Schema: %w", err)
	}
	return schema, nil
}

// schemaKeywords has the keywords of JSON Schema by what their values hold.
var schemaKeywords = map[string][]string{
	"schema":  {"additionalItems", "additionalProperties", "contains", "else", "if", "items", "not", "propertyNames", "then", "unevaluatedItems", "unevaluatedProperties"},
	"list":    {"allOf", "anyOf", "oneOf", "prefixItems"},
	"schemas": {"$defs", "definitions", "dependentSchemas", "patternProperties", "properties"},
	"value": {
		"$anchor", "$comment", "$dynamicAnchor", "$dynamicRef", "$id", "$recursiveAnchor", "$recursiveRef", "$ref", "$schema", "$vocabulary", "const", "contentEncoding", "contentMediaType",
		"contentSchema", "default", "dependencies", "dependentRequired", "deprecated", "description", "enum", "examples", "exclusiveMaximum", "exclusiveMinimum",
		"format", "maxContains", "maxItems", "maxLength", "maxProperties", "maximum", "minContains", "minItems", "minLength", "minProperties", "minimum",
		"multipleOf", "pattern", "readOnly", "required", "title", "type", "uniqueItems", "writeOnly",
	},
}

// addKeywordProblems adds a problem for each key of a JSON Schema that is not a keyword. JSON Schema ignores such keys, so that a rule with a
// misspelt keyword would allow everything.
func addKeywordProblems(problems *fault.Problems, pointer string, v event.Value) {
	if v.Kind() == event.Array { // items of older drafts
		for i, item := range v.Items() {
			addKeywordProblems(problems, pointer+"/"+strconv.Itoa(i), item)
		}
		return
	}
	for key, value := range v.Members() {
		at := pointer + fault.PointerKey(key)
		switch {
		case slices.Contains(schemaKeywords["schema"], key), slices.Contains(schemaKeywords["list"], key):
			addKeywordProblems(problems, at, value)
		case slices.Contains(schemaKeywords["schemas"], key):
			for name, inner := range value.Members() {
				addKeywordProblems(problems, at+fault.PointerKey(name), inner)
			}
		case !slices.Contains(schemaKeywords["value"], key) && !strings.HasPrefix(key, "x-"):
			problems.Add(at, "is not a keyword of JSON Schema%s", fault.DidYouMean(key, slices.Concat(
				schemaKeywords["schema"], schemaKeywords["list"], schemaKeywords["schemas"], schemaKeywords["value"])))
		}
	}
}
