// Package awskms stands in for the auto-unseal wrapper of that name, which this program never uses; it spares that cloud's SDK.
package awskms

import (
	"context"
	"errors"

	wrapping "github.com/hashicorp/go-kms-wrapping/v2"
)

const (
	EnvVaultAwsKmsSealKeyId = "UNUSED_AWSKMS_0"
	EnvAwsKmsWrapperKeyId   = "UNUSED_AWSKMS_1"
)

type Wrapper struct{ wrapping.Wrapper }

func NewWrapper() *Wrapper { return &Wrapper{} }

func (*Wrapper) SetConfig(context.Context, ...wrapping.Option) (*wrapping.WrapperConfig, error) {
	return nil, errors.New("awskms auto-unseal is left out of this program")
}

func WithDisallowEnvVars(bool) wrapping.Option { return wrapping.WithDisallowEnvVars(true) }
func WithLogger(any) wrapping.Option           { return wrapping.WithDisallowEnvVars(true) }
