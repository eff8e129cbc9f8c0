package mapping_test

import (
	"fmt"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/mapping"
)

func ExampleCompile() {
	m, err := mapping.Compile(event.MustParse(`{
		"id":   {"@path": "$.userId"},
		"mail": {"@case": {"operator": "lower", "value": {"@path": "$.traits.email"}}},
		"plan": {"@if": {"exists": {"@path": "$.traits.plan"}, "then": {"@path": "$.traits.plan"}, "else": "free"}}
	}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	payload, err := m.Resolve(event.MustParse(`{"userId": "u1", "traits": {"email": "Ana@Example.com"}}`))
	fmt.Println(payload.JSON(), err)
	// Output: {"id":"u1","mail":"ana@example.com","plan":"free"} <nil>
}

func ExampleCompile_mistakes() {
	_, err := mapping.Compile(event.MustParse(`{"id": {"@pth": "$.userId"}, "s": {"@replace": {"pattern": "", "value": "x"}}}`))
	fmt.Println(err)
	// Output:
	// /id has an invalid directive: @pth (did you mean "@path"?)
	// /s/@replace/pattern should be a string of length 1 or greater
}

func ExampleMapping_Trace() {
	m := mapping.MustCompile(`{"id": {"@if": {"exists": {"@path": "$.userId"}, "then": {"@path": "$.userId"}, "else": {"@path": "$.anonymousId"}}}}`)
	for _, t := range m.Trace(event.MustParse(`{"anonymousId": "a1"}`)) {
		fmt.Println(t.Key, "=", t.Value.JSON(), "from", t.From)
	}
	// Output: id = "a1" from @if exists @path $.userId: else @path $.anonymousId
}
