"""Configurations and quotas: schemas by API key (form: see wire/schema.py)."""

SCHEMAS: dict[int, str] = {
    32: """
DescribeConfigs 1-4 flexible 4+
request
  resources             []DescribeConfigsResource
    resource_type      int8
    resource_name      string
    configuration_keys []string?
  include_synonyms      bool
  include_documentation bool 3+
response
  throttle_time_ms int32
  results          []DescribeConfigsResult
    error_code    int16
    error_message string?
    resource_type int8
    resource_name string
    configs       []DescribeConfigsResourceResult
      name          string
      value         string?
      read_only     bool
      config_source int8 ignorable = -1
      is_sensitive  bool
      synonyms      []DescribeConfigsSynonym ignorable
        name   string
        value  string?
        source int8
      config_type   int8 3+ ignorable
      documentation string? 3+ ignorable
""",
    33: """
AlterConfigs 0-2 flexible 2+
request
  resources     []AlterConfigsRequestAlterConfigsResource
    resource_type int8
    resource_name string
    configs       []AlterConfigsRequestAlterableConfig
      name  string
      value string?
  validate_only bool
response
  throttle_time_ms int32
  responses        []AlterConfigsResponseAlterConfigsResourceResponse
    error_code    int16
    error_message string?
    resource_type int8
    resource_name string
""",
    44: """
IncrementalAlterConfigs 0-1 flexible 1+
request
  resources     []IncrementalAlterConfigsRequestAlterConfigsResource
    resource_type int8
    resource_name string
    configs       []IncrementalAlterConfigsRequestAlterableConfig
      name             string
      config_operation int8
      value            string?
  validate_only bool
response
  throttle_time_ms int32
  responses        []IncrementalAlterConfigsResponseAlterConfigsResourceResponse
    error_code    int16
    error_message string?
    resource_type int8
    resource_name string
""",
    48: """
DescribeClientQuotas 0-1 flexible 1+
request
  components []ComponentData
    entity_type string
    match_type  int8
    match       string?
  strict     bool
response
  throttle_time_ms int32
  error_code       int16
  error_message    string?
  entries          []DescribeClientQuotasResponseEntryData?
    entity []DescribeClientQuotasResponseEntityData
      entity_type string
      entity_name string?
    values []ValueData
      key         string
      value       float64
""",
    49: """
AlterClientQuotas 0-1 flexible 1+
request
  entries       []AlterClientQuotasRequestEntryData
    entity []AlterClientQuotasRequestEntityData
      entity_type string
      entity_name string?
    ops    []OpData
      key         string
      value       float64
      remove      bool
  validate_only bool
response
  throttle_time_ms int32
  entries          []AlterClientQuotasResponseEntryData
    error_code    int16
    error_message string?
    entity        []AlterClientQuotasResponseEntityData
      entity_type string
      entity_name string?
""",
    74: """
ListConfigResources 0-1 flexible 0+
request
  resource_types []int8 1+
response
  throttle_time_ms int32
  error_code       int16
  config_resources []ConfigResource
    resource_name string
    resource_type int8 1+ ignorable = 16
""",
}
