package content_test

import (
	"testing"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/content/contenttest"
)

func TestMemoryKeepsTheContract(t *testing.T) {
	contenttest.Run(t, contenttest.Place{New: func(*testing.T) contenttest.Instance {
		memory := &content.Memory{}
		return contenttest.Instance{
			Sink:   memory,
			Reopen: func(*testing.T) content.Source { return memory },
			Again:  func(*testing.T) content.Sink { return memory },
		}
	}})
}
