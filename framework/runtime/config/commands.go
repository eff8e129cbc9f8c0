package config

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// Limits of the commands of exec:COMMAND.
const (
	commandTimeout = 10 * time.Second
	commandGrace   = time.Second      // for what the command started and left running
	failureTTL     = 10 * time.Second // how long a failed command is not run again
	maxErrorOutput = 400              // bytes of standard error in a message
)

// Commands runs the commands of exec:COMMAND and keeps their outputs, so that a program that reads its config often does not run them
// each time. It is safe for concurrent use.
type Commands struct {
	mu      sync.Mutex
	results map[string]commandResult
}

// commandResult is what a command has printed, or why it failed.
type commandResult struct {
	output []byte
	err    error
	at     time.Time
}

// NewCommands returns a Commands without outputs.
func NewCommands() *Commands { return &Commands{results: map[string]commandResult{}} }

// Forget drops all outputs: each command runs again when it is needed.
func (c *Commands) Forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.results)
}

// readOutput returns what a command prints. It runs the command unless it has run before; others wait meanwhile.
func (c *Commands) readOutput(text string) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if last, ok := c.results[text]; ok && (last.err == nil || time.Since(last.at) < failureTTL) {
		return last.output, last.err
	}
	output, err := runSecretCommand(text, commandTimeout)
	c.results[text] = commandResult{output, err, time.Now()}
	return output, err
}

// runSecretCommand runs a program without a shell and returns what it prints. It gets the environment of this process, and no input.
func runSecretCommand(text string, timeout time.Duration) ([]byte, error) {
	words, err := splitCommand(text)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	output, complaints := limitedBuffer{limit: maxSecretFile}, limitedBuffer{limit: maxErrorOutput}
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &output, &complaints, commandGrace
	err = cmd.Run()
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("did not end within %s", timeout)
	case errors.Is(err, exec.ErrWaitDelay):
		return nil, errors.New("ended, but left a process that holds its output open")
	case err != nil && len(complaints.kept) > 0:
		return nil, fmt.Errorf("%w: %s", err, strings.Join(strings.Fields(string(complaints.kept)), " "))
	case err != nil:
		return nil, err
	case output.cut:
		return nil, fmt.Errorf("prints more than %d KB", maxSecretFile>>10)
	}
	return output.kept, nil
}

// splitCommand splits a command into words, at spaces outside of single or double quotes. All other characters stand for themselves: there
// are no variables, patterns or escapes.
func splitCommand(text string) ([]string, error) {
	var words []string
	var word strings.Builder
	var quote rune
	started := false
	for _, r := range text {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '"' || r == '\''):
			quote, started = r, true
		case quote == 0 && (r == ' ' || r == '\t' || r == '\n'):
			if started {
				words = append(words, word.String())
			}
			word.Reset()
			started = false
		default:
			word.WriteRune(r)
			started = true
		}
	}
	if started {
		words = append(words, word.String())
	}
	switch {
	case quote != 0:
		return nil, fmt.Errorf("has no closing %c", quote)
	case len(words) == 0 || words[0] == "":
		return nil, errors.New("names no program")
	}
	return words, nil
}

// limitedBuffer keeps the beginning of what is written to it.
type limitedBuffer struct {
	kept  []byte
	limit int
	cut   bool
}

// Write keeps as much of p as fits, and drops the rest.
func (b *limitedBuffer) Write(p []byte) (int, error) {
	fits := min(len(p), b.limit-len(b.kept))
	b.kept, b.cut = append(b.kept, p[:fits]...), b.cut || fits < len(p)
	return len(p), nil
}
