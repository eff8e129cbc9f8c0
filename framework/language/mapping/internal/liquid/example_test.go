package liquid_test

import (
	"fmt"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/mapping/internal/liquid"
)

func ExampleCompile() {
	template, err := liquid.Compile(`{% if traits.plan == "gold" %}Dear {% endif %}{{ traits.name | split: " " | first }}`)
	if err != nil {
		panic(err)
	}
	fmt.Println(template.Render(event.MustParse(`{"traits":{"name":"Ana Lima","plan":"gold"}}`)))
	// Output: Dear Ana <nil>
}

func ExampleCompile_refused() {
	_, err := liquid.Compile(`{{ traits.tags | map: "name" }}`)
	fmt.Println(err)
	// Output: filter "map" is disabled in {{ traits.tags | map: "name" }} (line 1, column 1)
}
