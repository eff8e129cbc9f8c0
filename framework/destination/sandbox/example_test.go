package sandbox_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/landfall-dev/landfall/framework/destination/sandbox"
)

// crm is a remote API that counts contacts.
type crm struct{ contacts int }

func (c *crm) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	c.contacts++
	sandbox.WriteJSON(w, http.StatusCreated, map[string]int{"contacts": c.contacts})
}

func (c *crm) State() any { return map[string]int{"contacts": c.contacts} }
func (c *crm) Reset()     { c.contacts = 0 }

// A sandbox is called in the same process. Failures are requested at /__sandbox/faults.
func ExampleNew() {
	client := http.Client{Transport: sandbox.Transport(sandbox.New(sandbox.Config{API: &crm{}}))}
	post := func(path, body string) {
		answer, err := client.Post("https://api.example.com"+path, "application/json", strings.NewReader(body))
		if err != nil {
			fmt.Println(err)
			return
		}
		defer answer.Body.Close()
		text, _ := io.ReadAll(answer.Body)
		fmt.Println(answer.StatusCode, strings.TrimSpace(string(text)))
	}
	post("/contacts", `{"email": "ann@example.com"}`)
	post("/__sandbox/faults", `[{"path": "/contacts", "status": 503, "times": 1}]`)
	post("/contacts", `{"email": "bob@example.com"}`)
	post("/contacts", `{"email": "bob@example.com"}`)
	// Output:
	// 201 {"contacts":1}
	// 200 {"message":"the next requests will go wrong"}
	// 503 {"message":"Service Unavailable"}
	// 201 {"contacts":2}
}
