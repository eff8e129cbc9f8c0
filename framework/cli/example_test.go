package cli_test

import (
	"fmt"
	"os"
	"testing/fstest"

	"github.com/landfall-dev/landfall/framework/cli"
	"github.com/landfall-dev/landfall/framework/destination"
)

// acme is a destination without code. A program usually embeds the file of its directory.
var acme = destination.Plugin{Definition: fstest.MapFS{destination.DefinitionFile: {Data: []byte(`
name: Acme
slug: acme
mode: cloud
description: Keeps contacts.
authentication: {scheme: none}
actions:
  contact:
    title: Contact
    fields:
      email: {label: Email, type: string, format: email, required: true, default: {"@path": $.traits.email}}
    request: {url: https://api.acme.example/contacts, body: {email: {"@path": $.payload.email}}}
`)}}}

// The main function of a program with a destination of its own is os.Exit(cli.Main(acme)). It has all commands of landfall; here it was
// called with "list".
func ExampleMain() {
	defer func(before []string) { os.Args = before }(os.Args)
	os.Args = []string{"program", "list"}
	fmt.Println("exit code", cli.Main(acme))
	// Output:
	// acme                 Keeps contacts.
	//                      actions: contact
	// exit code 0
}
