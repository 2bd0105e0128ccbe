"""Stands in for MONAI's Task Manager with its Docker plug-in, which needs .NET.

It fulfils the contracts of the Task Manager with a MAP and a clinical workflow: exchange, queues
and properties of RabbitMQ, the layout of the object store, mounts and environment of the container,
and the callback event. Source: Project-MONAI/monai-deploy-messaging
(RabbitMqMessageSubscriberService.cs, RabbitMqMessagePublisherService.cs, Events/*.cs) and
Project-MONAI/monai-deploy-workflow-manager (TaskManager.cs, DockerPlugin.cs,
ContainerStatusMonitor.cs, EventMapper.cs).

It is better than the original in two points. The original acknowledges a task as soon as its
container runs, and waits for the end in memory: if it ends meanwhile, the task is lost. The
stand-in acknowledges a task after the broker has confirmed the callback. In the original, a task
that is delivered again fails, because the container's name and the input's files exist; here it
runs again.

The stand-in leaves out what a MAP does not see: temporary credentials, updates of the task's
status, and the folder of `env_MONAI_WORKDIR`, which the App SDK no longer reads.
"""
