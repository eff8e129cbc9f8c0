package fieldschema_test

import (
	"fmt"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/fieldschema"
)

func ExampleSchema_Process() {
	fields, err := fieldschema.ParseFields(event.MustParse(`{
		"id":   {"label": "User ID", "type": "string", "required": true},
		"age":  {"label": "Age", "type": "integer", "minimum": 0},
		"tags": {"label": "Tags", "type": "string", "multiple": true}
	}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	s, err := fieldschema.Compile(fields)
	if err != nil {
		fmt.Println(err)
		return
	}
	payload, err := s.Process(event.MustParse(`{"id": 5, "age": "41", "tags": "vip", "other": true}`))
	fmt.Println(payload.JSON(), err)
	_, err = s.Process(event.MustParse(`{"id": "", "age": "-1"}`))
	fmt.Println(err)
	// Output:
	// {"id":"5","age":41,"tags":["vip"]} <nil>
	// Age should be at least 0 but is -1; User ID is required but missing
}

func ExampleSchema_JSON() {
	fields, _ := fieldschema.ParseFields(event.MustParse(`{"id": {"label": "User ID", "type": "string", "required": true}}`))
	s, _ := fieldschema.Compile(fields)
	fmt.Println(s.JSON().Get("properties").JSON(), s.JSON().Get("required").JSON())
	// Output: {"id":{"title":"User ID","type":"string"}} ["id"]
}
