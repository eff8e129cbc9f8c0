package plumbing

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"regexp"
	"sync"
	"time"
)

//go:embed destination.yaml
var definition embed.FS

var (
	fine   = regexp.MustCompile(`^a`)
	errToo = errors.New("fine")
	table  = map[string]string{"a": "b"}
	once   = sync.OnceValue(func() int { return 1 })
	cache  = map[string]string{}
	count  int
	lock   sync.Mutex         // want: made to change
	events = make(chan error) // want: is a channel
)

func init() { // want: init function
	count++ // want: count is changed
}

func handle(ctx context.Context, key string) error {
	cache[key] = table[key]                              // want: cache is changed
	delete(cache, key)                                   // want: cache is changed
	go fmt.Println(key)                                  // want: a goroutine; fmt.Println
	time.Sleep(time.Second)                              // want: time.Sleep
	http.Get("https://example.com")                      // want: net/http.Get
	_ = os.Getenv("KEY")                                 // want: os.Getenv
	slog.Info("sent")                                    // want: log/slog.Info
	_, cancel := context.WithTimeout(context.TODO(), 10) // want: context.TODO
	defer cancel()
	count := 1
	count++
	_ = http.MethodPost
	_, _ = fine, errToo
	_ = definition
	_ = once()
	return nil
}
