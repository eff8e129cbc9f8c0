package destination

import (
	"sync"
	"time"
)

// Bounds of the answers that are remembered for an instance.
const (
	maxAnswers     = 1000
	maxAnswerBytes = 16 << 10
)

// answers holds responses to requests by their keys, each for a time. Nil remembers nothing. It is safe for concurrent use.
type answers struct {
	mu    sync.Mutex
	byKey map[string]rememberedAnswer
}

type rememberedAnswer struct {
	response *Response // read-only
	until    time.Time
}

func newAnswers() *answers { return &answers{byKey: map[string]rememberedAnswer{}} }

// find returns the response with a key, or nil.
func (a *answers) find(key string, now time.Time) *Response {
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	known, ok := a.byKey[key]
	if !ok || now.After(known.until) {
		return nil
	}
	return known.response
}

// add remembers a response. If there are too many, it drops those whose time is over, otherwise any one.
func (a *answers) add(key string, response *Response, now time.Time, keep time.Duration) {
	if a == nil || len(response.raw) > maxAnswerBytes {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.byKey) >= maxAnswers {
		for k, known := range a.byKey {
			if now.After(known.until) {
				delete(a.byKey, k)
			}
		}
	}
	for k := range a.byKey {
		if len(a.byKey) < maxAnswers {
			break
		}
		delete(a.byKey, k)
	}
	a.byKey[key] = rememberedAnswer{response, now.Add(keep)}
}

func (a *answers) forget(keys []string) {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, key := range keys {
		delete(a.byKey, key)
	}
}
